/** `connect`, from its options to the connections among ranks. */
import { type Socket, connect as openSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { resolvePlace } from '../../ts/src/rendezvous/environment.ts'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import type { Tuning } from '../../ts/src/tuning.ts'
import { dialAuthenticated } from '../../ts/src/wire/authenticated.ts'
import { bitsOf, onAll, vectorOf } from '../_world.ts'
import { meetAtPort } from './_meet.ts'
import { freePort } from './_ports.ts'

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
    const error = await t.throwsAsync(connectBy({ transport: createMemoryTransport() }, options as never, {}), {
      instanceOf: AdasumError,
      message,
    })
    t.is(error?.code, 'ERR_ARGUMENT')
  })

test('options that are undefined are left out', async (t) => {
  const options = { rank: undefined, host: undefined, signal: undefined, timeoutMs: undefined }
  const comm = await connectBy({ transport: createMemoryTransport() }, options as never, {})
  t.deepEqual([comm.rank, comm.size], [0, 1])
  await comm.close()
})

test('a rank that met the others but does not connect is named, with what was refused meanwhile', async (t) => {
  const network = createMemoryTransport()
  const options = { size: 2, store: '127.0.0.1:29500', secret: 'k', timeoutMs: 2000 }
  const connecting = connectBy({ transport: network }, { ...options, rank: 0 }, {})
  const place = resolvePlace({ ...options, rank: 1 }, {})
  const meeting = await meetAtPort(place, network, { onPeer: () => undefined })
  const { peers, runId } = meeting
  const identity = { runId, rank: 1, size: 2, peerRank: 0, purpose: 'peer', secret: 'other' } as const
  const { host, port } = peers[0]!
  const comm = await connecting
  await t.throwsAsync(dialAuthenticated(network, host, port, identity))
  const error = await t.throwsAsync(comm.barrier({ timeoutMs: 500 }), { instanceOf: AdasumError })
  t.is(error?.code, 'ERR_TIMEOUT')
  t.regex(error?.message ?? '', /no progress for 500 ms on rank 0, which waits for rank 1 \(127\.0\.0\.1:\d+\)/)
  t.regex(error?.message ?? '', /; 1 connection was refused: .* and rank 0 have different secrets/)
  await comm.close()
  await meeting.leave()
  for (const pipe of network.pipes) pipe.destroy()
  await sleep(0)
})

/** A world over a network, ranks in order; of the tunings rank 0's counts. */
function world(size: number, transport: Transport, tuning: Partial<Tuning> = {}): Promise<Communicator[]> {
  const options = { size, store: '127.0.0.1:29500', timeoutMs: 20_000 }
  const connecting = Array.from({ length: size }, (_, rank) =>
    connectBy({ transport }, { ...options, rank, ...(rank === 0 && { tuning }) }, {}),
  )
  return Promise.all(connecting)
}

test('connections open when a collective first needs them', async (t) => {
  const network = createMemoryTransport()
  const ranks = await world(4, network)
  const count = async (): Promise<number> => {
    // Until those to the store are gone, and those that are dialled back are there.
    await sleep(100)
    return network.pipes.size
  }
  const before = await count()
  const data = Uint8Array.of(7)
  await Promise.all(ranks.map((comm) => comm.broadcast(comm.rank === 0 ? data : Uint8Array.of(0))))
  // Two connections for each pair with the root, and a pipe has two ends.
  t.is((await count()) - before, 2 * 2 * 3)
  await Promise.all(ranks.map((comm) => comm.barrier()))
  t.is((await count()) - before, 2 * 4 * 3)
  await Promise.all(ranks.map((comm) => comm.close()))
})

for (const [name, create] of [
  ['memory', () => createMemoryTransport({ seed: 3, maxChunkByteLength: 50_000 })],
  ['tcp', () => tcp],
] as const)
  test(`${name}: each direction has as many connections as rank 0 says, and large vectors go over all of them`, async (t) => {
    const ranks = await world(3, create(), { connectionsPerPeer: 3 })
    const inputs = ranks.map((_, rank) => vectorOf(new Float32Array(1_000_000), rank))
    const results = await onAll(ranks, (comm, rank) => comm.allReduce(inputs[rank]!, { op: 'adasum' }))
    const want = bitsOf(adasumSync(ranks.map((_, rank) => vectorOf(new Float32Array(1_000_000), rank))).result)
    for (const { result } of results) t.is(bitsOf(result), want)
    for (const comm of ranks) t.is(comm.metrics().openConnections, 2 * 2 * 3)
    const parts = await onAll(ranks, (comm) => comm.split(0))
    await onAll(parts as Communicator[], (comm) => comm.broadcast(new Float32Array(300_000)))
    await Promise.all(ranks.map((comm) => comm.close()))
  })

test('one of several connections that breaks is a lost rank', async (t) => {
  const network = createMemoryTransport()
  const ranks = await world(2, network, { connectionsPerPeer: 4 })
  await Promise.all(ranks.map((comm) => comm.barrier()))
  const call = ranks[0]!.allReduce(new Float32Array(500_000), { op: 'sum' })
  await sleep(20)
  // Ends of connections, in the order in which they were opened: one that carries nothing at the moment.
  const [pipe] = [...network.pipes].slice(-1)
  network.cut((other) => other === pipe)
  const error = await t.throwsAsync<AdasumError>(call)
  t.is(error?.code, 'ERR_PEER_LOST')
  t.is(error?.peerRank, 1)
  t.is((await t.throwsAsync<AdasumError>(ranks[1]!.barrier()))?.code, 'ERR_PEER_LOST')
  await Promise.all(ranks.map((comm) => comm.close()))
})

test('a rank that ended before anybody needed it is named by the first call that does', async (t) => {
  const network = createMemoryTransport()
  const ranks = await world(3, network)
  await ranks[2]!.close()
  const errors = await Promise.all(
    ranks.slice(0, 2).map((comm) => t.throwsAsync<AdasumError>(comm.barrier({ timeoutMs: 5000 }))),
  )
  for (const error of errors) {
    t.is(error?.code, 'ERR_PEER_LOST')
    t.is(error?.peerRank, 2)
    t.regex(error?.message ?? '', /rank 2 \(127\.0\.0\.1:\d+\) has closed its communicator, after collective #0/)
  }
  await Promise.all(ranks.map((comm) => comm.close()))
})

test('a root that has sent everything and ends at once is heard by those who come later', async (t) => {
  const ranks = await world(3, createMemoryTransport())
  const sending = ranks[0]!.broadcast(Uint8Array.of(7)).then(() => ranks[0]!.close())
  await sleep(50)
  const others = ranks.slice(1)
  const got = await Promise.all(others.map((comm) => comm.broadcast(Uint8Array.of(0))))
  t.deepEqual(got, [Uint8Array.of(7), Uint8Array.of(7)])
  await Promise.all([sending, ...others.map((comm) => comm.close())])
})

test('a rank that comes to a group which has failed meanwhile is told why', async (t) => {
  const network = createMemoryTransport()
  const ranks = await world(3, network)
  const controller = new AbortController()
  const failing = ranks[0]!.broadcast(Uint8Array.of(1), { root: 1, signal: controller.signal })
  controller.abort()
  t.is((await t.throwsAsync<AdasumError>(failing))?.code, 'ERR_ABORTED')
  const error = await t.throwsAsync<AdasumError>(ranks[2]!.broadcast(Uint8Array.of(1), { root: 0 }))
  t.is(error?.code, 'ERR_ABORTED')
  t.is(error?.rank, 0)
  await Promise.all(ranks.map((comm) => comm.close()))
})

test('machines that are named are the ones there are', async (t) => {
  const network = createMemoryTransport()
  const options = { size: 3, store: '127.0.0.1:29500', timeoutMs: 20_000 }
  const comms = await Promise.all(
    [0, 1, 2].map((rank) =>
      connectBy({ transport: network }, { ...options, rank, machine: rank === 1 ? 'b' : 'a' }, {}),
    ),
  )
  t.deepEqual(
    comms.map(({ localRank, localSize }) => [localRank, localSize]),
    [
      [0, 2],
      [0, 1],
      [1, 2],
    ],
  )
  const results = await Promise.all(
    comms.map((comm, rank) => comm.allReduce(Float32Array.of(1, rank), { op: 'adasum', hierarchy: 'sum' })),
  )
  // (2, 2) of ranks 0 and 2, and (1, 1) of rank 1: parallel, hence (2 * 2 + 1) / 3 of (1, 1).
  for (const { result } of results) for (const x of result) t.true(Math.abs(x - 5 / 3) < 1e-6)
  await Promise.all(comms.map((comm) => comm.close()))
})

// ---- strangers, who say nothing: they keep no rank out and hold none up

/** Less than any limit of a handshake, and more than a busy machine needs. */
const STRANGERS_LIMIT_MS = 3000

/** Idle connections; those that are re-opened come again whenever they are cut off. */
class Strangers {
  readonly #sockets = new Set<Socket>()
  readonly #isReopened: boolean
  #hasEnded = false

  constructor(isReopened: boolean) {
    this.#isReopened = isReopened
  }

  come(port: number, count: number): Promise<void[]> {
    return Promise.all(Array.from({ length: count }, () => this.#open(port)))
  }

  #open(port: number): Promise<void> {
    const socket = openSocket(port, '127.0.0.1')
    this.#sockets.add(socket)
    socket.on('error', () => undefined).resume()
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (this.#isReopened && !this.#hasEnded) setTimeout(() => this.#hasEnded || void this.#open(port), 1)
    })
    return new Promise((resolve) => socket.once('connect', () => resolve()).once('close', () => resolve()))
  }

  end(): void {
    this.#hasEnded = true
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** TCP, which tells where each rank listens. */
function observed(onPort: (port: number) => void): Transport {
  const listen: Transport['listen'] = async (host, port, accept) => {
    const listener = await tcp.listen(host, port, accept)
    onPort(listener.port)
    return listener
  }
  return { ...tcp, listen }
}

/** The same over TCP; `onPort` is told of every port that is opened, the store's first. */
async function observedWorld(
  t: ExecutionContext,
  size: number,
  onPort: (port: number) => void,
): Promise<Communicator[]> {
  const port = await freePort()
  const options = { size, store: `127.0.0.1:${port}`, sharedMemory: false, timeoutMs: 20_000 }
  const transport = observed(onPort)
  const ranks = await Promise.all(
    Array.from({ length: size }, (_, rank) => connectBy({ transport }, { ...options, rank }, {})),
  )
  t.teardown(() => Promise.all(ranks.map((comm) => comm.close())))
  return ranks
}

for (const size of [2, 3, 4])
  test.serial(
    `41 idle connections to the port of each of ${size} ranks: its first collective is as good as ever`,
    async (t) => {
      const ports: number[] = []
      const ranks = await observedWorld(t, size, (port) => ports.push(port))
      const strangers = new Strangers(false)
      t.teardown(() => strangers.end())
      await Promise.all(ports.slice(1).map((port) => strangers.come(port, 41)))
      const begin = performance.now()
      const results = await onAll(ranks, (comm) => comm.allReduce(new Float32Array(10).fill(1), { op: 'sum' }))
      const elapsedMs = performance.now() - begin
      for (const { result } of results) t.is(result[9], size)
      t.true(elapsedMs < STRANGERS_LIMIT_MS, `${elapsedMs} ms`)
    },
  )

for (const size of [2, 4])
  test.serial(`60 connections to every port of ${size} ranks and their store, opened again and again`, async (t) => {
    const strangers = new Strangers(true)
    t.teardown(() => strangers.end())
    const begin = performance.now()
    const ranks = await observedWorld(t, size, (port) => void strangers.come(port, 60))
    const results = await onAll(ranks, (comm) => comm.allReduce(new Float32Array(10).fill(1), { op: 'sum' }))
    const elapsedMs = performance.now() - begin
    for (const { result } of results) t.is(result[9], size)
    t.true(elapsedMs < 2 * STRANGERS_LIMIT_MS, `${elapsedMs} ms`)
  })
