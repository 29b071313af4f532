/** `connect`, from its options to the connections among ranks. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { connectOver } from '../../ts/src/communicator/connect.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { resolvePlace } from '../../ts/src/rendezvous/environment.ts'
import { rendezvous } from '../../ts/src/rendezvous/rendezvous.ts'
import { createMemoryTransport } from '../../ts/src/transport/memory.ts'
import { dialAuthenticated } from '../../ts/src/wire/authenticated.ts'

const WRONG: [name: string, options: unknown, message: RegExp][] = [
  ['null', null, /must be an object/],
  ['a string', 'x', /must be an object/],
  ['an unknown name', { rnak: 7 }, /no option "rnak"/],
  ['a number for the host', { host: 7 }, /"host"/],
  ['a number for the signal', { signal: 3 }, /signal must be an AbortSignal/],
  ['null for the signal', { signal: null }, /signal must be an AbortSignal/],
]
for (const [name, options, message] of WRONG)
  test(`options that are refused: ${name}`, async (t) => {
    const error = await t.throwsAsync(connectOver(createMemoryTransport(), options as never, {}), {
      instanceOf: AdasumError,
      message,
    })
    t.is(error?.code, 'ERR_ARGUMENT')
  })

test('options that are undefined are left out', async (t) => {
  const options = { rank: undefined, host: undefined, signal: undefined, timeoutMs: undefined }
  const comm = await connectOver(createMemoryTransport(), options as never, {})
  t.deepEqual([comm.rank, comm.size], [0, 1])
  await comm.close()
})

test('a rank that met the others but does not connect is named, with what was refused meanwhile', async (t) => {
  const network = createMemoryTransport()
  const options = { size: 2, store: '127.0.0.1:29500', secret: 'k', timeoutMs: 2000 }
  const connecting = connectOver(network, { ...options, rank: 0 }, {})
  connecting.catch(() => {})
  const place = resolvePlace({ ...options, rank: 1 }, {})
  const onPeer = (): void => undefined
  const { peers, runId, listener } = await rendezvous(place, { transport: network, timeoutMs: 20_000, onPeer })
  const identity = { runId, rank: 1, size: 2, peerRank: 0, purpose: 'peer', secret: 'other' } as const
  const { host, port } = peers[0]!
  await t.throwsAsync(dialAuthenticated(network, host, port, identity))
  const error = await t.throwsAsync(connecting, { instanceOf: AdasumError })
  t.is(error?.code, 'ERR_TIMEOUT')
  t.regex(error?.message ?? '', /^Rank 0 could not connect within 2000 ms to rank 1 \(127\.0\.0\.1:\d+\)/)
  t.regex(error?.message ?? '', /; 1 connection was refused: .* and rank 0 have different secrets/)
  await listener.close()
  for (const pipe of network.pipes) pipe.destroy()
  await sleep(0)
})
