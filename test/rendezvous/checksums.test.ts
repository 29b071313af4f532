/** Worlds whose connections damage bytes: with checksums a typed error, and without them another gradient. */
import test, { type ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'
import { NODE_WAYS } from '../../ts/src/world/ways.ts'
import { DAMAGES, type Damage, damagedPipe, withAccepted } from '../transport/_damage.ts'
import { SECRET } from './_places.ts'
import { SIZE, addressTest, changedWays, ownAddress, tcpWorld } from './_tcp-worlds.ts'

/** In the payload of the first large message of each connection. */
const AT = 30_000
const ELEMENTS = 100_000

/** A world in which the accepted connections damage what they send. */
function damagedWorld(
  t: ExecutionContext,
  damage: Damage,
  host: string,
  options: ConnectOptions,
): Promise<readonly Communicator[]> {
  const change = changedWays((transport) => withAccepted(transport, (pipe) => damagedPipe(pipe, damage)))
  return tcpWorld(t, change, host, options)
}

const inputs = Array.from({ length: SIZE }, (_, rank) =>
  Float32Array.from({ length: ELEMENTS }, (__, i) => Math.sin(i + rank)),
)
const expected = adasumSync(inputs.map((input) => input.slice())).result

const reduced = (comms: readonly Communicator[]) =>
  Promise.allSettled(comms.map((comm, rank) => comm.allReduce(inputs[rank]!.slice(), { op: 'adasum' })))

/** That no rank has a result of damaged bytes, and that those who saw the damage say by whom. */
async function checkNoticed(t: ExecutionContext, comms: readonly Communicator[]): Promise<void> {
  const outcomes = await reduced(comms)
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') t.deepEqual(outcome.value.result, expected)
  const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as AdasumError] : []))
  t.is(errors.length, SIZE, 'every rank learns of it')
  for (const error of errors) t.is(error.code, 'ERR_MISMATCH', error.message)
  const [{ message, peerRank, peerAddress }] = errors as [AdasumError]
  t.true(Number.isInteger(peerRank) && peerRank! < SIZE && peerAddress !== undefined, message)
  t.regex(message, new RegExp(`^Rank ${peerRank} \\(.+\\): the checksum of record \\d+'s (head|payload) is`))
}

for (const kind of DAMAGES)
  test.serial(`bytes that are ${kind} on the way are an error that names the peer`, async (t) => {
    const damage = { kind, at: AT, byteLength: 64 }
    await checkNoticed(t, await damagedWorld(t, damage, '127.0.0.1', { checksums: true }))
  })

test.serial('over several connections as one, too', async (t) => {
  const damage = { kind: 'flipped', at: AT, byteLength: 64 } as const
  await checkNoticed(
    t,
    await damagedWorld(t, damage, '127.0.0.1', { checksums: true, tuning: { connectionsPerPeer: 3 } }),
  )
})

test.serial('on the loopback interface there are none unless that is asked for', async (t) => {
  const outcomes = await reduced(await damagedWorld(t, { kind: 'flipped', at: AT, byteLength: 64 }, '127.0.0.1', {}))
  // This is what the others would have got.
  const wrong = outcomes.filter((outcome) => outcome.status === 'fulfilled' && !isEqual(outcome.value.result, expected))
  t.true(wrong.length > 0)
})

const isEqual = (a: Float32Array, b: Float32Array): boolean => Buffer.from(a.buffer).equals(Buffer.from(b.buffer))

addressTest('beyond it there are where connections are not encrypted', async (t) => {
  const damage = { kind: 'flipped', at: AT, byteLength: 64 } as const
  await checkNoticed(t, await damagedWorld(t, damage, ownAddress!, { tls: 'off' }))
})

test.serial('one end that wants them is enough, and results are those of any other world', async (t) => {
  const comms = await tcpWorld(t, NODE_WAYS, '127.0.0.1', {}, (rank) => (rank === 1 ? { checksums: true } : {}))
  for (const outcome of await reduced(comms)) {
    t.is(outcome.status, 'fulfilled')
    if (outcome.status === 'fulfilled') t.deepEqual(outcome.value.result, expected)
  }
})

test.serial('an option or variable that is no answer is refused', async (t) => {
  const options = { rank: 0, size: 2, store: '127.0.0.1:1', secret: SECRET }
  const failure = async (given: object, env: Record<string, string>): Promise<string> => {
    const error = await t.throwsAsync(connectBy(NODE_WAYS, { ...options, ...given }, env), { instanceOf: AdasumError })
    return `${error?.code} ${error?.message}`
  }
  t.regex(await failure({ checksums: 'on' }, {}), /^ERR_ARGUMENT option "checksums" must be true or false/)
  t.regex(await failure({}, { ADASUM_CHECKSUMS: 'on' }), /^ERR_ENVIRONMENT ADASUM_CHECKSUMS must be 0 or 1/)
})
