/**
 * Memory that its owner transfers away in mid-call, which nobody should do: the process lives on, every rank's call
 * ends soon and says what happened, and no connection is left.
 */
import anyTest, { type ExecutionContext } from 'ava'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { striped } from '../transport/_striped.ts'
import { makeWorld } from '../_world.ts'

// One after the other: the moments matter.
const test = anyTest.serial

const ENDS_WITHIN_MS = 10_000
const TRANSPORTS = {
  memory: () => createMemoryTransport(),
  tcp: () => tcp,
  '3 of memory': () => striped(createMemoryTransport({ maxChunkByteLength: 64 << 10 }), 3),
  '3 of tcp': () => striped(tcp, 3),
}

const transfer = (array: Float32Array): void =>
  void structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })

/** Rank 0 must fail; another rank may have had all that it needs, but if it fails, then for the same cause. */
async function checkOutcomes(t: ExecutionContext, calls: Promise<unknown>[], begin: number): Promise<void> {
  const outcomes = await Promise.allSettled(calls)
  t.true(performance.now() - begin < ENDS_WITHIN_MS)
  t.is(outcomes[0]!.status, 'rejected')
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue
    const error = outcome.reason as AdasumError
    t.is(error.code, 'ERR_ABORTED', error.message)
    t.is(error.rank, 0)
    t.regex(error.message, /An array was transferred away during the call/)
  }
}

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  // Before anything was sent, between the first messages, and inside a large payload.
  for (const turns of [0, 3, 12]) {
    test(`${name}: the input, after ${turns} turns`, async (t) => {
      const world = await makeWorld(3, { transport: transport() })
      const data = world.ranks.map((_, rank) => new Float32Array(12_000_000).fill(1 + rank))
      const begin = performance.now()
      const calls = world.ranks.map((comm, rank) => comm.allReduce(data[rank]!, { op: 'sum' }))
      for (let turn = 0; turn < turns; turn++) await nextTurn()
      transfer(data[0]!)
      await checkOutcomes(t, calls, begin)
      await world.close()
    })
  }

  test(`${name}: the root's data of a broadcast`, async (t) => {
    const world = await makeWorld(2, { transport: transport() })
    const data = world.ranks.map((_, rank) => new Float32Array(12_000_000).fill(1 + rank))
    const begin = performance.now()
    const calls = world.ranks.map((comm, rank) => comm.broadcast(data[rank]!))
    for (let turn = 0; turn < 6; turn++) await nextTurn()
    transfer(data[0]!)
    await checkOutcomes(t, calls, begin)
    await world.close()
  })

  test(`${name}: short data that waits for its connection`, async (t) => {
    const world = await makeWorld(2, { transport: transport(), isConnected: false })
    const data = world.ranks.map((_, rank) => new Float32Array(1000).fill(1 + rank))
    const begin = performance.now()
    const calls = world.ranks.map((comm, rank) => comm.broadcast(data[rank]!))
    transfer(data[0]!)
    await checkOutcomes(t, calls, begin)
    await world.close()
  })

  // Several sockets may be emptied in one turn of the event loop: then there is no while.
  for (const moment of name === '3 of tcp' ? ['at once'] : ['at once', 'while it is filled'])
    test(`${name}: out, ${moment}`, async (t) => {
      const world = await makeWorld(3, { transport: transport() })
      const data = world.ranks.map((_, rank) => new Float32Array(3_000_000).fill(1 + rank))
      const outs = world.ranks.map(() => new Float32Array(3_000_000))
      const begin = performance.now()
      const calls = world.ranks.map((comm, rank) => comm.allReduce(data[rank]!, { op: 'sum', out: outs[rank]! }))
      const isBeingFilled = (): boolean => [1e6, 2e6 + 4096].some((at) => outs[0]![at] !== 0)
      while (moment !== 'at once' && !isBeingFilled()) await nextTurn()
      transfer(outs[0]!)
      await checkOutcomes(t, calls, begin)
      await world.close()
    })
}

test('a socket that has lent memory to a read survives its loss', async (t) => {
  let accept: (pipe: Awaited<ReturnType<typeof tcp.dial>>) => void
  const accepted = new Promise<Awaited<ReturnType<typeof tcp.dial>>>((resolve) => (accept = resolve))
  const listener = await tcp.listen('127.0.0.1', 0, (pipe) => accept(pipe))
  const [dialled, far] = [await tcp.dial('127.0.0.1', listener.port), await accepted]
  const out = new Uint8Array(1 << 20)
  const heard: number[] = []
  const until = async (count: number): Promise<void> => {
    while (heard.length < count) await nextTurn()
  }
  const sink = (bytes: Uint8Array) => ({
    target: () => bytes,
    onFilled: (byteLength: number) => void heard.push(byteLength),
    onEnd: () => void heard.push(-1),
  })
  dialled.setSink(sink(out))
  far.setSink(sink(new Uint8Array(1)))
  // The read after this one is into `out`.
  for (const count of [1, 2]) {
    far.write(Buffer.alloc(100))
    await until(count)
  }
  dialled.setSink(sink(new Uint8Array(100)))
  structuredClone(out.buffer, { transfer: [out.buffer] })
  far.write(Buffer.alloc(100))
  await dialled.closed
  far.destroy()
  await listener.close()
  t.deepEqual(heard.slice(0, 3), [100, 100, -1])
})
