/** Worlds whose connections are encrypted, and those that are not. */
import test, { type ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { NODE_WAYS } from '../../ts/src/world/ways.ts'
import { certificates } from '../transport/_certificates.ts'
import { SECRET } from './_places.ts'
import { SIZE, addressTest, changedWays, ownAddress, tcpWorld } from './_tcp-worlds.ts'

interface World {
  readonly comms: readonly Communicator[]
  /** All connections that were dialled, those to the store included. */
  readonly dialled: readonly Pipe[]
}

/** A world, and what it has dialled. */
async function world(
  t: ExecutionContext,
  host: string,
  options: ConnectOptions,
  optionsOf?: (rank: number) => ConnectOptions,
): Promise<World> {
  const dialled: Pipe[] = []
  const watched = (transport: Transport): Transport => ({
    ...transport,
    dial: async (...address) => {
      const pipe = await transport.dial(...address)
      dialled.push(pipe)
      return pipe
    },
  })
  return { comms: await tcpWorld(t, changedWays(watched), host, options, optionsOf), dialled }
}

/** Once a connection has been closed nothing can be exported any more, an error that comes only where it was encrypted. */
function isBound(pipe: Pipe): boolean {
  try {
    return pipe.channelBinding?.() !== undefined
  } catch {
    return true
  }
}

/** That a world reduces as it should, and whether it does so over encrypted connections. */
async function checkReduction(t: ExecutionContext, { comms, dialled }: World, isEncrypted: boolean): Promise<void> {
  const inputs = comms.map((_, rank) => Float32Array.from({ length: 50_000 }, (__, i) => Math.sin(i + rank)))
  const expected = adasumSync(inputs.map((input) => input.slice())).result
  const results = await Promise.all(comms.map((comm, rank) => comm.allReduce(inputs[rank]!, { op: 'adasum' })))
  for (const { result } of results) t.deepEqual(result, expected)
  t.true(dialled.length >= 2 * SIZE)
  for (const pipe of dialled) t.is(isBound(pipe), isEncrypted)
}

test.serial('on the loopback interface nothing is encrypted unless that is asked for', async (t) => {
  await checkReduction(t, await world(t, '127.0.0.1', {}), false)
})

for (const tls of ['psk', certificates('one')] as const)
  test.serial(
    `a world with ${typeof tls === 'string' ? tls : 'certificates'} has the results of any other`,
    async (t) => {
      await checkReduction(t, await world(t, '127.0.0.1', { tls, tuning: { connectionsPerPeer: 3 } }), true)
    },
  )

addressTest('beyond the loopback interface a world is encrypted by its secret', async (t) => {
  await checkReduction(t, await world(t, ownAddress!, {}), true)
})

addressTest('and not where it is told not to be, of which the user is warned', async (t) => {
  const warnings: (Error & { code?: string })[] = []
  const onWarning = (warning: Error): void => void warnings.push(warning)
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  await checkReduction(t, await world(t, ownAddress!, { tls: 'off' }), false)
  const ours = warnings.filter(({ code }) => code === 'ADASUM_TLS_OFF')
  t.is(ours.length, 1)
  t.regex(ours[0]!.message, /whoever is on the way reads gradients and weights/)
})

addressTest('a weak secret is refused before anybody is dialled', async (t) => {
  const error = await t.throwsAsync(world(t, ownAddress!, { secret: 'swordfish' }), { instanceOf: AdasumError })
  t.is(error?.code, 'ERR_AUTH')
  t.regex(error?.message ?? '', /apparent strength/)
})

test.serial('a rank that does not encrypt where the others do joins nobody', async (t) => {
  const optionsOf = (rank: number): ConnectOptions => ({ tls: rank === 1 ? 'off' : 'psk', timeoutMs: 3000 })
  const error = await t.throwsAsync(world(t, '127.0.0.1', {}, optionsOf), { instanceOf: AdasumError })
  t.true(['ERR_TIMEOUT', 'ERR_STORE', 'ERR_PEER_LOST'].includes(error.code), error.code)
})

const WRONG: [unknown, RegExp][] = [
  ['yes', /option "tls" must be psk or off, or an object with certificates, but it is "?yes/],
  [null, /option "tls" must be psk or off/],
  [{}, /"tls.certificates.key" must be a text in PEM, but it is undefined/],
  [{ certificates: { key: 'x' } }, /"tls.certificates.key" must be a text in PEM, but it is another text/],
  [
    { certificates: { ...certificates('one').certificates, ca: '-----BEGIN CERTIFICATE-----\nx\n' } },
    /option "tls.certificates" has what OpenSSL cannot read/,
  ],
]
for (const [tls, message] of WRONG)
  test.serial(`an option that is refused: ${JSON.stringify(tls).slice(0, 60)}`, async (t) => {
    const options = { rank: 0, size: 2, store: '127.0.0.1:1', secret: SECRET, tls } as ConnectOptions
    const error = await t.throwsAsync(connectBy(NODE_WAYS, options, {}), { instanceOf: AdasumError, message })
    t.is(error?.code, 'ERR_ARGUMENT')
    t.false(error.message.includes('PRIVATE KEY'))
  })

test.serial('ADASUM_TLS is read where there is no option, and must be a word that is known', async (t) => {
  const options = { rank: 0, size: 2, store: '127.0.0.1:1', secret: SECRET }
  const error = await t.throwsAsync(connectBy(NODE_WAYS, options, { ADASUM_TLS: 'on' }), { instanceOf: AdasumError })
  t.is(error?.code, 'ERR_ENVIRONMENT')
  t.regex(error?.message ?? '', /ADASUM_TLS must be psk or off, but it is "?on/)
})
