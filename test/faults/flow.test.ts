/** Credit and slow networks: ranks that do the same, at another pace. */
import anyTest from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Sink, Transport } from '../../ts/src/transport/transport.ts'
import { striped } from '../transport/_striped.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

const test = anyTest.serial

type Play = (comm: Communicator) => Promise<unknown>

const TRANSPORTS = { memory: () => createMemoryTransport(), tcp: () => tcp, '3 of tcp': () => striped(tcp, 3) }

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  test(`${name}: one rank issues many calls at once, the others await each`, async (t) => {
    // Slices of 64 KiB: sent at once, on credit. Twenty calls need more of it than there is.
    const length = 3 * 16 * 1024
    const world = await makeWorld(3, { transport: transport() })
    const call = (rank: number, i: number) =>
      world.ranks[rank]!.allReduce(new Float32Array(length).fill(rank + i), { op: 'sum' })
    const results = await onAll(world.ranks, async (_, rank) => {
      if (rank === 0) return Promise.all(Array.from({ length: 20 }, (_, i) => call(0, i)))
      const list = []
      for (let i = 0; i < 20; i++) list.push(await call(rank, i))
      return list
    })
    for (const list of results) list.forEach(({ result }, i) => t.true(result.every((x) => x === 3 + 3 * i)))
    await world.close()
  })

  test(`${name}: data that is still under way when its sender closes arrives, over a slow network`, async (t) => {
    const world = await makeWorld(2, { transport: slowly(transport(), 1 << 20) })
    const data = [1, 0].map((value) => new Float32Array(1 << 20).fill(value))
    await onAll(world.ranks, async (comm, rank) => {
      await comm.broadcast(data[rank]!)
      await comm.close()
    })
    t.true(data[1]!.every((value) => value === 1))
  })
}

test('what a peer sends wrongly is reported with its rank and address', async (t) => {
  const world = await makeWorld(2, { transport: tcp })
  const failures = failuresOf([world.ranks[0]!.barrier()])
  world.pipe(1, 0).write(Buffer.alloc(64, 7))
  t.like((await failures)[0], { code: 'ERR_MISMATCH', peerRank: 1, peerAddress: world.pipe(0, 1).remoteAddress })
  await world.close()
})

/** The second connection that is dialled hears its peer at that many bytes a second; all others as fast as they can. */
function slowly(transport: Transport, bytesPerSecond: number): Transport {
  let count = 0
  return {
    name: transport.name,
    listen: (...args) => transport.listen(...args),
    dial: async (...args) => {
      const pipe = await transport.dial(...args)
      return ++count === 2 ? slowPipe(pipe, Math.ceil(bytesPerSecond / 100)) : pipe
    },
  }
}

function slowPipe(pipe: Pipe, bytesPerTick: number): Pipe {
  const [kept, scratch]: [Buffer[], Buffer] = [[], Buffer.alloc(64 << 10)]
  let sink: Sink | null = null
  let end: { error: Error | undefined } | undefined
  const collector: Sink = {
    target: () => scratch,
    onFilled: (byteLength) => void kept.push(Buffer.from(scratch.subarray(0, byteLength))),
    onEnd: (error) => void (end = { error }),
  }
  pipe.setSink(collector)
  const timer = setInterval(() => {
    for (let left = bytesPerTick; left > 0 && kept.length > 0 && sink;) left -= deliver(kept, sink, left)
    if (kept.length > 0 || end === undefined || sink === null) return
    clearInterval(timer)
    sink.onEnd(end.error)
  }, 10)
  return {
    remoteAddress: pipe.remoteAddress,
    localAddress: pipe.localAddress,
    closed: pipe.closed,
    setSink: (next) => void (sink = next),
    write: (bytes, done) => pipe.write(bytes, done),
    end: () => pipe.end(),
    destroy: () => {
      clearInterval(timer)
      pipe.destroy()
    },
    ref: () => pipe.ref(),
    unref: () => pipe.unref(),
  }
}

function deliver(kept: Buffer[], sink: Sink, most: number): number {
  const [head, target] = [kept[0]!, sink.target()]
  const count = Math.min(head.length, target.length, most)
  target.set(head.subarray(0, count))
  if (count === head.length) kept.shift()
  else kept[0] = head.subarray(count)
  sink.onFilled(count)
  return count
}

for (const [name, calls] of Object.entries({
  'two roots of a large broadcast, of whom each waits for the other': [
    (comm) => comm.broadcast(new Float32Array(100_000), { root: 0 }),
    (comm) => comm.broadcast(new Float32Array(100_000), { root: 1 }),
  ],
  'two ranks that wait for small parts of different calls': [
    (comm) => comm.broadcast(new Float32Array(10), { root: 1 }),
    (comm) => comm.broadcast(new Float32Array(10), { root: 0 }),
  ],
} satisfies Record<string, [Play, Play]>))
  test(`${name} learn of it long before the deadline`, async (t) => {
    const world = await makeWorld(2, { isConnected: false })
    const errors = await failuresOf<unknown>(world.ranks.map((comm, rank) => calls[rank]!(comm)))
    for (const error of errors) {
      t.is((error as AdasumError).code, 'ERR_MISMATCH')
      t.regex(error.message, /broadcast #1 differs\. Rank 0.* from rank [01]; rank 1.* from rank [01]\./)
    }
    await world.close()
  })
