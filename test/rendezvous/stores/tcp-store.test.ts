import test, { type ExecutionContext } from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { AdasumError } from '../../../ts/src/errors.ts'
import { acquireStore } from '../../../ts/src/rendezvous/stores/tcp/hosted-stores.ts'
import { machineIdentity } from '../../../ts/src/rendezvous/machine.ts'
import { NO_REFUSALS } from '../../../ts/src/rendezvous/refusals.ts'
import { type JoinProgress, type Roster, startOfJoining } from '../../../ts/src/rendezvous/stores/store.ts'
import { type HostedStore, hostStore, type HostStoreOptions } from '../../../ts/src/rendezvous/stores/tcp/host-store.ts'
import { joinStore } from '../../../ts/src/rendezvous/stores/tcp/join-store.ts'
import { encodeMessage } from '../../../ts/src/rendezvous/stores/tcp/messages.ts'
import { createMemoryTransport, type MemoryTransport } from '../../transport/_memory.ts'
import { tcp } from '../../../ts/src/transport/tcp.ts'
import type { Pipe, Transport } from '../../../ts/src/transport/transport.ts'
import { DEFAULT_TUNING, type Tuning } from '../../../ts/src/tuning.ts'
import { dialAuthenticated, listenAuthenticated } from '../../../ts/src/wire/authenticated.ts'
import { STORE_RANK } from '../../../ts/src/wire/handshake-format.ts'
import { Collector } from '../../transport/_compliance.ts'
import { mulberry32 } from '../../transport/_random.ts'

import { SECRET } from '../_places.ts'
import { TYPESCRIPT_ARGS } from '../../_typescript.ts'

const HOST = '127.0.0.1'
const JOB = new Uint8Array(16)
const seed = Number(process.env['ADASUM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

async function open(t: ExecutionContext, size: number, change: Partial<HostStoreOptions> = {}): Promise<HostedStore> {
  const store = await hostStore({ host: HOST, port: 0, size, secret: 'k', ...change })
  t.teardown(() => store.close())
  return store
}

const tuningOf = (rank: number): Tuning => ({ ...DEFAULT_TUNING, directByteLength: 1000 + rank })

interface Joining {
  start: Promise<Roster>
  progress: JoinProgress
  controller: AbortController
}

/** A rank that announces 127.0.0.1:(1000 + rank) and has no port of its own. */
function join(store: HostedStore, rank: number, size: number, transport: Transport = tcp, machine?: string): Joining {
  const progress = startOfJoining()
  const controller = new AbortController()
  const announce = async () => ({ host: HOST, port: 1000 + rank })
  const place = {
    ...{ transport, rank, size, secret: 'k', jobId: JOB, host: store.host, ports: [store.port] },
    ...{ announce, signal: controller.signal, progress },
    // Each its own, so that it can be told whose counts.
    tuning: tuningOf(rank),
    failureTimeoutMs: 3000 + rank,
  }
  const start = joinStore({ ...place, ...(machine !== undefined && { machine }) })
  start.catch(() => {})
  return { start, progress, controller }
}

/** An authenticated connection on which a test says what it likes. */
async function intrude(store: HostedStore, rank: number, size: number, transport: Transport = tcp): Promise<Pipe> {
  const identity = { runId: JOB, rank, size, peerRank: STORE_RANK, purpose: 'store', secret: 'k' } as const
  return dialAuthenticated(transport, store.host, store.port, identity)
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

test('whoever hosts the store is told who waits, until the round is complete', async (t) => {
  const seen: string[] = []
  const store = await open(t, 3, { onWaiting: (ranks) => void seen.push(ranks.join()) })
  const two = join(store, 2, 3)
  await until(() => seen.at(-1) === '2')
  const zero = join(store, 0, 3)
  await until(() => seen.at(-1) === '0,2')
  two.controller.abort(new Error('off'))
  await until(() => seen.at(-1) === '0')
  const rest = [1, 2].map((rank) => join(store, rank, 3))
  await Promise.all([zero, ...rest].map(({ start }) => start))
  t.is(seen.at(-1), '')
  t.true(seen.indexOf('') === seen.length - 1)
})

test('those who have come are told who has not, as it changes', async (t) => {
  const store = await open(t, 4)
  const two = join(store, 2, 4)
  await until(() => two.progress.waiting?.missing.join() === '0,1,3')
  const zero = join(store, 0, 4)
  await until(() => two.progress.waiting?.missing.join() === '1,3')
  await until(() => zero.progress.waiting?.missing.join() === '1,3')
  zero.controller.abort(new Error('off'))
  await until(() => two.progress.waiting?.missing.join() === '0,1,3')
  t.deepEqual(two.progress.waiting?.left, [0])
  await t.throwsAsync(zero.start, { message: 'off' })
  const again = join(store, 0, 4)
  await until(() => two.progress.waiting?.missing.join() === '1,3')
  t.deepEqual(two.progress.waiting?.left, [])
  again.controller.abort(new Error('off'))
  await t.throwsAsync(again.start, { message: 'off' })
  const rest = [0, 1, 3].map((rank) => join(store, rank, 4))
  const starts = await Promise.all([two, ...rest].map((each) => each.start))
  for (const start of starts) {
    t.is(start.runId, starts[0]!.runId)
    t.deepEqual([start.tuning, start.failureTimeoutMs], [tuningOf(0), 3000])
  }
  t.deepEqual(
    starts[0]!.peers.map((peer) => peer.port),
    [1000, 1001, 1002, 1003],
  )
})

test('machines are numbered in the order of their lowest ranks', async (t) => {
  const store = await open(t, 5)
  const machines = ['b', 'a', 'b', 'b', 'a'].map((name) => name.repeat(32))
  const joins = machines.map((machine, rank) => join(store, rank, 5, tcp, machine))
  for (const start of await Promise.all(joins.map((each) => each.start))) t.deepEqual(start.machines, [0, 1, 0, 0, 1])
  t.regex(machineIdentity(), /^[0-9a-f]{32}$/)
  t.is(machineIdentity(), machineIdentity())
})

test('a second claim to a rank is refused while the first stands, and no longer', async (t) => {
  const store = await open(t, 2)
  const first = join(store, 1, 2)
  await until(() => first.progress.waiting !== undefined)
  const second = join(store, 1, 2)
  const error = await t.throwsAsync<AdasumError>(second.start)
  t.is(error.code, 'ERR_RANK_TAKEN')
  first.controller.abort(new Error('gone'))
  await t.throwsAsync(first.start)
  const [zero, one] = [join(store, 0, 2), join(store, 1, 2)]
  t.is((await zero.start).runId, (await one.start).runId)
})

test('a holder that gives no sign of life loses its place to the next who claims it', async (t) => {
  const network = createMemoryTransport()
  const store = await open(t, 2, { transport: network })
  const first = join(store, 1, 2, network)
  await until(() => first.progress.waiting !== undefined)
  // As of a machine whose link has been cut: nothing of it comes, not even an end.
  network.freeze()
  const second = join(store, 1, 2, network)
  const zero = join(store, 0, 2, network)
  // All have come now; but the round does not begin while one of them is in doubt.
  const [start, other] = await Promise.all([second.start, zero.start])
  t.is(start.runId, other.runId)
  first.controller.abort(new Error('gone'))
  network.thaw()
  await t.throwsAsync(first.start)
})

test('claims that are refused, also several at a time, do not hold up the round', async (t) => {
  const store = await open(t, 2)
  const first = join(store, 1, 2)
  await until(() => first.progress.waiting !== undefined)
  const claims = [1, 2, 3].map(() => join(store, 1, 2))
  for (const { start } of claims) t.is((await t.throwsAsync<AdasumError>(start)).code, 'ERR_RANK_TAKEN')
  const zero = join(store, 0, 2)
  t.is((await zero.start).runId, (await first.start).runId)
})

test('an answer that nobody has asked for is nonsense', async (t) => {
  const store = await open(t, 2)
  const pipe = await intrude(store, 1, 2)
  const sink = new Collector()
  pipe.setSink(sink)
  pipe.write(encodeMessage({ type: 'pong' }))
  await sink.finished
  pipe.destroy()
  const joins = [0, 1].map((rank) => join(store, rank, 2))
  await t.notThrowsAsync(Promise.all(joins.map((each) => each.start)))
})

test('those who wait hear of connections that were refused, until the round is complete', async (t) => {
  const store = await open(t, 2)
  const one = join(store, 1, 2)
  await until(() => one.progress.waiting !== undefined)
  const identity = { runId: JOB, rank: 0, size: 2, peerRank: STORE_RANK, purpose: 'store', secret: 'other' } as const
  for (let i = 0; i < 3; i++) await t.throwsAsync(dialAuthenticated(tcp, HOST, store.port, identity))
  await until(() => one.progress.waiting?.refusals.count === 3)
  t.regex(one.progress.waiting!.refusals.last, /^127\.0\.0\.1:\d+ and the store have different secrets/)
  await Promise.all([one.start, join(store, 0, 2).start])
  const next = join(store, 1, 2)
  await until(() => next.progress.waiting !== undefined)
  t.deepEqual(next.progress.waiting?.refusals, NO_REFUSALS)
  next.controller.abort(new Error('off'))
  await t.throwsAsync(next.start)
})

test('rounds follow each other, each with its own run id', async (t) => {
  const store = await open(t, 3)
  const runs = new Set<string>()
  for (let i = 0; i < 20; i++) {
    const starts = await Promise.all([0, 1, 2].map((rank) => join(store, rank, 3).start))
    t.is(new Set(starts.map((start) => start.runId)).size, 1)
    runs.add(starts[0]!.runId)
  }
  t.is(runs.size, 20)
})

test('a rank that keeps its connection after the round does not hold up the next', async (t) => {
  const store = await open(t, 2)
  const pipe = await intrude(store, 1, 2)
  const sink = new Collector()
  pipe.setSink(sink)
  pipe.write(
    encodeMessage({
      type: 'join',
      host: HOST,
      port: 5,
      machine: 'a'.repeat(32),
      tuning: DEFAULT_TUNING,
      failureTimeoutMs: 3000,
    }),
  )
  await join(store, 0, 2).start
  await sink.finished
  const joins = [0, 1].map((rank) => join(store, rank, 2))
  await t.notThrowsAsync(Promise.all(joins.map((each) => each.start)))
  pipe.destroy()
})

test('a store of this process is shared until its last user releases it', async (t) => {
  const network = createMemoryTransport()
  const address = { host: HOST, ports: [29500, 29501] }
  const acquire = (size = 2, secret = 'k') =>
    acquireStore(network, address, { size, secret, jobId: JOB }, new AbortController().signal)
  const isTaken = async () => {
    const listening = network.listen(HOST, 29500, () => {})
    return listening.then((listener) => listener.close().then(() => false)).catch(() => true)
  }
  const [first, second] = await Promise.all([acquire(), acquire()])
  t.is(first.port, second.port)
  await Promise.all([first.release(), first.release()])
  t.true(await isTaken(), 'one user is left')
  t.is((await t.throwsAsync<AdasumError>(acquire(3))).code, 'ERR_STORE')
  t.is((await t.throwsAsync<AdasumError>(acquire(2, 'other'))).code, 'ERR_STORE')
  await second.release()
  t.false(await isTaken())

  const blocker = await network.listen(HOST, 29500, () => {})
  const third = await acquire()
  t.is(third.port, 29501)
  await third.release()
  const other = await network.listen(HOST, 29501, () => {})
  t.regex((await t.throwsAsync<AdasumError>(acquire())).message, /EADDRINUSE/)
  await Promise.all([blocker.close(), other.close()])
  const fourth = await acquire()
  t.is(fourth.port, 29500, 'a failure is not remembered')
  await fourth.release()
})

test('a rank that says nonsense is put out, and its place is free again', async (t) => {
  const store = await open(t, 2)
  const good = encodeMessage({
    type: 'join',
    host: HOST,
    port: 5,
    machine: 'a'.repeat(32),
    tuning: DEFAULT_TUNING,
    failureTimeoutMs: 3000,
  })
  const nonsense: Uint8Array[] = [
    Buffer.from([255, 255, 255, 255]),
    Buffer.from([0, 0, 0, 3, 0x7b, 0x7d, 0x7d]),
    encodeMessage({ type: 'waiting', missing: [], left: [], refusals: NO_REFUSALS }),
    encodeMessage({
      type: 'join',
      host: HOST,
      port: 99_999,
      machine: 'a'.repeat(32),
      tuning: DEFAULT_TUNING,
      failureTimeoutMs: 3000,
    }),
    Buffer.concat([good, good]),
  ]
  for (const bytes of nonsense) {
    const pipe = await intrude(store, 1, 2)
    const sink = new Collector()
    pipe.setSink(sink)
    pipe.write(bytes)
    await sink.finished
    pipe.destroy()
  }
  const joins = [0, 1].map((rank) => join(store, rank, 2))
  await t.notThrowsAsync(Promise.all(joins.map((each) => each.start)))
})

test('1,000 mutated conversations leave the store at work', async (t) => {
  t.log(`seed ${seed}`)
  const network = createMemoryTransport({ maxChunkByteLength: 60, seed })
  const store = await open(t, 16, { transport: network })
  const random = mulberry32(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const good = encodeMessage({
    type: 'join',
    host: HOST,
    port: 5,
    machine: 'a'.repeat(32),
    tuning: DEFAULT_TUNING,
    failureTimeoutMs: 3000,
  })
  // Rank 15 stays away, so that no round completes.
  for (let i = 0; i < 1000; i += 10) {
    const pipes = await Promise.all(
      Array.from({ length: 10 }, async (_, rank) => {
        const pipe = await intrude(store, rank, 16, network)
        const bytes = Buffer.from(good)
        for (let k = 0; k <= below(4); k++) bytes[below(bytes.length)]! ^= 1 << below(8)
        pipe.setSink(new Collector())
        pipe.write(bytes.subarray(0, below(2) === 0 ? bytes.length : below(bytes.length)))
        pipe.end()
        return pipe
      }),
    )
    await Promise.all(pipes.map((pipe) => pipe.closed))
  }
  const joins = Array.from({ length: 16 }, (_, rank) => join(store, rank, 16, network))
  const starts = await Promise.all(joins.map((each) => each.start))
  t.is(new Set(starts.map((start) => start.runId)).size, 1)
  await store.close()
  await untilEmpty(network)
  t.is(network.pipes.size, 0)
})

async function untilEmpty(network: MemoryTransport): Promise<void> {
  for (let i = 0; i < 200 && network.pipes.size > 0; i++) await sleep(5)
}

test('a store that says nonsense is reported as such', async (t) => {
  const say = [
    Buffer.from([255, 0, 0, 0]),
    encodeMessage({ type: 'waiting', missing: [7], left: [], refusals: NO_REFUSALS }),
    encodeMessage({
      type: 'join',
      host: HOST,
      port: 1,
      machine: 'a'.repeat(32),
      tuning: DEFAULT_TUNING,
      failureTimeoutMs: 3000,
    }),
  ]
  for (const bytes of say) {
    const identity = { runId: JOB, rank: STORE_RANK, size: 2, purpose: 'store', secret: 'k' } as const
    const pipes: Pipe[] = []
    const listener = await listenAuthenticated(tcp, HOST, 0, identity, (_, pipe) => {
      pipes.push(pipe)
      pipe.setSink(new Collector())
      pipe.write(bytes)
    })
    const { start } = join({ host: HOST, port: listener.port, close: () => listener.close() }, 0, 2)
    t.is((await t.throwsAsync<AdasumError>(start)).code, 'ERR_STORE')
    for (const pipe of pipes) pipe.destroy()
    await listener.close()
  }
})

test('a store that closes leaves no pipe, also with ranks waiting in it', async (t) => {
  const network = createMemoryTransport()
  const store = await open(t, 3, { transport: network })
  const waiting = [0, 1].map((rank) => join(store, rank, 3, network))
  await until(() => waiting.every((each) => each.progress.waiting?.missing.join() === '2'))
  await store.close()
  for (const { controller } of waiting) controller.abort(new Error('enough'))
  for (const { start } of waiting) await t.throwsAsync(start, { message: 'enough' })
  await untilEmpty(network)
  t.is(network.pipes.size, 0)
})

test('a store refuses a port in use, an address that is not here, and the open network without a secret', async (t) => {
  const store = await open(t, 2)
  const host = (change: Partial<HostStoreOptions>) =>
    hostStore({ host: HOST, port: 0, size: 2, secret: SECRET, ...change })
  const inUse = await t.throwsAsync<AdasumError>(host({ port: store.port }))
  t.is(inUse.code, 'ERR_STORE')
  t.regex(inUse.message, new RegExp(`127.0.0.1:${store.port} .*EADDRINUSE`))
  const elsewhere = await t.throwsAsync<AdasumError>(host({ host: '203.0.113.9' }))
  t.is(elsewhere.code, 'ERR_STORE')
  t.regex(elsewhere.message, /EADDRNOTAVAIL/)
  for (const secret of ['', 'too short a secret'])
    t.is((await t.throwsAsync<AdasumError>(host({ host: '0.0.0.0', secret }))).code, 'ERR_AUTH')
})

for (const mode of ['refused', 'timeout', 'aborted', 'met', 'forgotten'])
  test(`nothing is left that keeps a process: ${mode}`, async (t) => {
    const script = fileURLToPath(new URL('../_lifetime.ts', import.meta.url))
    const child = spawn(process.execPath, [...TYPESCRIPT_ARGS, script, mode], { stdio: ['ignore', 'pipe', 'inherit'] })
    const killer = setTimeout(() => child.kill('SIGKILL'), 30_000)
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await once(child, 'close')
    clearTimeout(killer)
    t.is(child.exitCode, 0, output)
    t.regex(output, /^done in time$/m)
  })
