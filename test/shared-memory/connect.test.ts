/** Who shares memory with whom, as `connect` finds out; what takes its place where that turns out to be wrong. */
import { randomBytes } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import test from 'ava'
import { loadSharedMemory } from '#binding'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import type { PeerAddress } from '../../ts/src/rendezvous/stores/store.ts'
import { hostStore } from '../../ts/src/rendezvous/stores/tcp/host-store.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import { HAS_UNIX_TRANSPORT } from '../../ts/src/transport/unix.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { DEFAULT_FAILURE_LIMITS } from '../../ts/src/timing/failure-limits.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'
import { listenAuthenticated } from '../../ts/src/wire/authenticated.ts'
import { routesOf } from '../../ts/src/world/routes.ts'
import { NODE_WAYS, type Ways } from '../../ts/src/world/ways.ts'

async function world(
  options: readonly Pick<ConnectOptions, 'sharedMemory'>[],
  ways: Ways = NODE_WAYS,
): Promise<{ ranks: Communicator[]; close: () => Promise<void> }> {
  const size = options.length
  const store = await hostStore({ host: '127.0.0.1', port: 0, size, secret: 's', transport: ways.transport })
  const place = { size, store: `127.0.0.1:${store.port}`, secret: 's', timeoutMs: 20_000 }
  const env = { ADASUM_STORE_HOST: 'launcher' }
  const join = (own: ConnectOptions, rank: number): Promise<Communicator> =>
    connectBy(ways, { ...place, ...own, rank }, env)
  const ranks = await Promise.all(options.map(join))
  const close = async (): Promise<void> => {
    await Promise.all(ranks.map((comm) => comm.close()))
    await store.close()
  }
  return { ranks, close }
}

async function transports(ranks: readonly Communicator[]): Promise<string[]> {
  await Promise.all(
    ranks.map(async (comm) => {
      const { result } = await comm.allReduce(new Float32Array(100_000).fill(1), { op: 'sum' })
      if (result.some((x) => x !== comm.size)) throw new Error('a wrong sum')
    }),
  )
  return ranks.map((comm) => comm.transport)
}

if (HAS_SHARED_MEMORY) {
  test('ranks of one machine share memory, but for those that do not want it', async (t) => {
    const all = await world([{}, {}, {}])
    t.deepEqual(await transports(all.ranks), ['shared-memory', 'shared-memory', 'shared-memory'])
    await all.close()
    const some = await world([{}, { sharedMemory: false }, { sharedMemory: 100_000 }])
    t.deepEqual(await transports(some.ranks), ['mixed', 'tcp', 'mixed'])
    await some.close()
    const none = await world([{ sharedMemory: false }, {}])
    t.deepEqual(await transports(none.ranks), ['tcp', 'tcp'])
    await none.close()
  })

  test('sub-groups share it, too', async (t) => {
    const { ranks, close } = await world([{}, {}, { sharedMemory: false }])
    const groups = await Promise.all(ranks.map((comm) => comm.split(comm.rank === 2 ? undefined : 0, -comm.rank)))
    t.deepEqual(await transports([groups[1]!, groups[0]!]), ['shared-memory', 'shared-memory'])
    await close()
  })

  test('where there are no Unix sockets they meet over TCP, and read each other’s memory all the same', async (t) => {
    let dials = 0
    const dial: Transport['dial'] = (...where) => {
      dials++
      return tcp.dial(...where)
    }
    const { ranks, close } = await world([{}, {}, {}], {
      ...NODE_WAYS,
      transport: { ...tcp, dial },
      secured: undefined,
      nearTransport: undefined,
    })
    t.deepEqual(await transports(ranks), ['shared-memory', 'shared-memory', 'shared-memory'])
    t.is(dials, 3 * (1 + 2), 'each rank dials the store and its peers')
    const sums = await Promise.all(
      ranks.map((comm) => comm.allReduce(comm.allocate('f32', 100_000).fill(comm.rank), { op: 'sum' })),
    )
    for (const { result, bytesSent } of sums) {
      t.true(result.every((x) => x === 3))
      t.true(bytesSent < 1000, `${bytesSent}`)
    }
    await close()
    const some = await world([{}, { sharedMemory: false }, {}], { ...NODE_WAYS, nearTransport: undefined })
    t.deepEqual(await transports(some.ranks), ['mixed', 'tcp', 'mixed'])
    await some.close()
  })

  const unixTest = HAS_UNIX_TRANSPORT ? test.serial : test.serial.skip
  unixTest('a Unix socket that cannot be reached: TCP takes its place, with one warning', async (t) => {
    const warnings: string[] = []
    const listen = (warning: Error & { code?: string }): void => {
      if (warning.code === 'ADASUM_SHARED_MEMORY') warnings.push(warning.message)
    }
    process.on('warning', listen)
    const identity = { runId: randomBytes(16), size: 2, secret: 's' }
    const accepted: Pipe[] = []
    const acceptor = { ...identity, rank: 1, purpose: 'peer' } as const
    const listener = await listenAuthenticated(tcp, '127.0.0.1', 0, acceptor, (_, pipe) => accepted.push(pipe))
    const { host, port } = listener
    const unixKey = randomBytes(16).toString('hex')
    const peers: PeerAddress[] = [
      { host, port: 1, sharesMemory: true },
      { host, port, unixKey, sharesMemory: true },
    ]
    const routes = routesOf({
      ...{ ways: NODE_WAYS, identity: { ...identity, rank: 0 }, peers, machines: [0, 0] },
      connectionsPerPeer: 1,
      limits: DEFAULT_FAILURE_LIMITS,
      sharedMemory: new SharedMemory(loadSharedMemory()),
    })
    const dial = (groupId: string, signal: AbortSignal): Promise<Pipe> => routes[1]!.dial(groupId, signal)
    const { signal } = new AbortController()
    const pipes = [await dial('00'.repeat(8), signal), await dial('00'.repeat(8), signal)]
    for (const pipe of pipes) t.not(pipe.localAddress, `${host}:0`)
    await listener.close()
    // Nobody is there at all: that is another failure, and no reason to warn of this one.
    await t.throwsAsync(dial('00'.repeat(8), signal), { code: 'ERR_PEER_LOST' })
    for (const pipe of [...pipes, ...accepted]) pipe.destroy()
    await nextTurn()
    process.off('warning', listen)
    t.is(warnings.length, 1)
    t.regex(
      warnings[0]!,
      /^Rank 1 \(127\.0\.0\.1:\d+\) is on this machine, but its Unix socket cannot be reached \(ECONNREFUSED\)/,
    )
  })
}

test('over other transports nothing is shared', async (t) => {
  const { ranks, close } = await world([{}, {}], { transport: createMemoryTransport() })
  t.deepEqual(await transports(ranks), ['tcp', 'tcp'])
  await close()
})

test('a world of one shares with nobody, and allocates all the same', async (t) => {
  const comm = await connectBy(NODE_WAYS, {}, {})
  const array = comm.allocate('f32', 100_000)
  t.is(array.length, 100_000)
  await comm.allReduce(array, { op: 'sum' })
  t.is(comm.transport, 'tcp')
  await comm.close()
})
