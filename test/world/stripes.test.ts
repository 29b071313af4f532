/** How the connections of a striped pipe find each other, and what happens to those that do not. */
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { createMemoryTransport } from '../transport/_memory.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import { LABEL_BYTE_LENGTH, StripeGathering, dialStriped, encodeLabel } from '../../ts/src/world/stripes.ts'
import { Collector, write } from '../transport/_compliance.ts'

interface Arrived {
  readonly peerRank: number
  readonly pipe: Pipe
  readonly groupId: string
}

/** A listener that joins `count` connections, all of them of that rank and group. */
async function gathering(t: ExecutionContext, count: number) {
  const network = createMemoryTransport()
  const arrived: Arrived[] = []
  const joined = new StripeGathering(count, (peerRank, pipe, groupId) => arrived.push({ peerRank, pipe, groupId }))
  const origin = { peerRank: 1, groupId: 'aa' }
  const listener = await network.listen('127.0.0.1', 0, (pipe) => joined.accept(origin.peerRank, pipe, origin.groupId))
  t.teardown(() => listener.close())
  const dial = (): Promise<Pipe> => network.dial('127.0.0.1', listener.port)
  return { network, joined, arrived, origin, dial }
}

const id = (number: number): Uint8Array => new Uint8Array(16).fill(number)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1)
}

test('connections are joined in their order, whatever order they come in, and pipes do not mix', async (t) => {
  const { arrived, dial, origin } = await gathering(t, 3)
  const dialled: Pipe[][] = [[], []]
  for (const [which, index] of [
    [0, 2],
    [1, 0],
    [0, 0],
    [1, 2],
    [1, 1],
    [0, 1],
  ] as const) {
    const pipe = (dialled[which]![index] = await dial())
    await write(pipe, encodeLabel(id(which), index, 3))
  }
  await until(() => arrived.length === 2)
  t.deepEqual(
    arrived.map(({ peerRank, groupId }) => ({ peerRank, groupId })),
    [origin, origin],
  )
  // The second was complete first. What is written before anything else goes over the first connection of each.
  for (const [i, which] of [1, 0].entries()) {
    const sink = new Collector()
    dialled[which]![0]!.setSink(sink)
    await write(arrived[i]!.pipe, Buffer.from(`pipe ${which}`))
    await sink.has(6)
    t.is(Buffer.from(sink.bytes).toString(), `pipe ${which}`)
  }
  for (const { pipe } of arrived) pipe.destroy()
})

test('the same id from two ranks, or for two groups, makes two pipes', async (t) => {
  const { arrived, dial, origin } = await gathering(t, 2)
  for (const [peerRank, groupId] of [
    [1, 'aa'],
    [2, 'aa'],
    [1, 'bb'],
  ] as const) {
    Object.assign(origin, { peerRank, groupId })
    for (const index of [1, 0]) await write(await dial(), encodeLabel(id(7), index, 2))
    await until(() => arrived.length > 0)
    const [{ pipe, ...from }] = arrived.splice(0) as [Arrived]
    t.deepEqual(from, { peerRank, groupId })
    pipe.destroy()
  }
})

test('a single connection has no label', async (t) => {
  const { arrived, dial } = await gathering(t, 1)
  const pipe = await dialStriped(1, dial)
  await write(pipe, Buffer.from('x'))
  await until(() => arrived.length === 1)
  const sink = new Collector()
  arrived[0]!.pipe.setSink(sink)
  await sink.has(1)
  t.is(Buffer.from(sink.bytes).toString(), 'x')
  pipe.destroy()
})

const WRONG: Record<string, Uint8Array[]> = {
  'another count': [encodeLabel(id(1), 0, 3)],
  'an index beyond the count': [encodeLabel(id(1), 2, 2)],
  'the same index twice': [encodeLabel(id(1), 0, 2), encodeLabel(id(1), 0, 2)],
}
for (const [name, labels] of Object.entries(WRONG))
  test(`a label that is refused: ${name}`, async (t) => {
    const { network, arrived, dial } = await gathering(t, 2)
    for (const label of labels) await write(await dial(), label)
    await until(() => network.pipes.size === 0)
    t.is(arrived.length, 0)
  })

test('a connection that breaks takes those of its pipe with it, as long as they are not complete', async (t) => {
  const { network, arrived, dial } = await gathering(t, 3)
  const first = await dial()
  await write(first, encodeLabel(id(1), 0, 3))
  await write(await dial(), encodeLabel(id(1), 1, 3))
  const silent = await dial()
  await write(silent, Buffer.alloc(LABEL_BYTE_LENGTH - 1))
  await sleep(20)
  t.is(network.pipes.size, 6)
  first.destroy()
  await until(() => network.pipes.size === 2)
  silent.destroy()
  await until(() => network.pipes.size === 0)
  t.is(arrived.length, 0)
})

test('closing lets go of everything that is not complete', async (t) => {
  const { network, joined, dial } = await gathering(t, 2)
  await write(await dial(), encodeLabel(id(1), 0, 2))
  await dial()
  await sleep(20)
  await joined.close()
  await until(() => network.pipes.size === 0)
  t.pass()
})

test('a peer cannot hold any number of pipes half open', async (t) => {
  const { network, dial } = await gathering(t, 2)
  for (let i = 0; i < 70; i++) await write(await dial(), encodeLabel(id(i), 0, 2))
  await until(() => network.pipes.size <= 2 * 64)
  await sleep(20)
  t.is(network.pipes.size, 2 * 64)
  for (const pipe of network.pipes) pipe.destroy()
})

test('if one connection cannot be opened, none stays open', async (t) => {
  const { network, arrived, dial } = await gathering(t, 4)
  let count = 0
  const refused = new Error('refused')
  const dialling = dialStriped(4, () => (++count === 3 ? Promise.reject(refused) : dial()))
  t.is(await t.throwsAsync(dialling), refused)
  await until(() => network.pipes.size === 0)
  t.is(arrived.length, 0)
})
