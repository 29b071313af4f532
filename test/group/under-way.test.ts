/**
 * How many calls may be under way, what a rank puts up with of one that has as many, and the queues in which they wait.
 */
import anyTest from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import type { Call } from '../../ts/src/group/call.ts'
import { MOST_ANNOUNCED, MOST_CALLS_UNDER_WAY, messageSequence } from '../../ts/src/group/numbering.ts'
import { CallTable } from '../../ts/src/group/call-table.ts'
import { type FrameHeader, NO_DESCRIPTOR } from '../../ts/src/wire/frame.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { type EagerFrame, EagerFrames } from '../../ts/src/group/eager-frames.ts'
import type { OutgoingMessage } from '../../ts/src/group/outgoing-message.ts'
import { Queue } from '../../ts/src/queue.ts'
import { fc } from '../_property.ts'

// One after the other: warnings belong to the process.
const test = anyTest.serial

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
const callOf = (sequence: number): Call => ({ sequence }) as Call

for (const [what, take] of Object.entries({
  collectives: (table: CallTable) => table.takeCollective(),
  'messages from rank 2 to rank 0': (table: CallTable) => table.takeMessage({ from: 2, to: 0 }),
}))
  test(`${what}: one more than may be under way is refused, until one has ended`, (t) => {
    const table = new CallTable(3)
    const calls = times(MOST_CALLS_UNDER_WAY, () => callOf(take(table)))
    for (const call of calls) table.add(call)
    const expected = {
      instanceOf: AdasumError,
      code: 'ERR_NOT_READY',
      message: `65536 ${what} are under way, and there may be 65536. Await some of them first.`,
    }
    t.throws(() => take(table), expected)
    // The others have counts of their own, and a number that was refused is not used up.
    table.takeMessage({ from: 0, to: 2 })
    table.remove(calls[1]!)
    const [next, last] = [take(table), calls.at(-1)!.sequence]
    t.is(next - last, calls[1]!.sequence - calls[0]!.sequence)
    t.throws(() => take(table), expected)
  })

test('the oldest collective is the first that has not ended, in whatever order they end', (t) => {
  const table = new CallTable(2)
  t.is(table.oldestSequence(), Infinity)
  const calls = times(6, () => callOf(table.takeCollective()))
  for (const call of calls) table.add(call)
  const oldest = (ended: number): number => {
    table.remove(calls[ended]!)
    table.noteCompleted(calls[ended]!)
    return table.oldestSequence()
  }
  t.deepEqual([1, 0, 4, 2, 3, 5].map(oldest), [1, 3, 3, 4, 6, Infinity])
  t.is(table.lastCompleted, 6)
  const after = callOf(table.takeCollective())
  table.add(after)
  t.is(table.oldestSequence(), 7)
})

test('a rank hears of all that a peer may have under way, and of more than it can have takes offence', async (t) => {
  const world = await makeWorld(2)
  const { receiver } = world.groups[0]!.linkTo(1)
  const announce = (index: number): void => {
    const header: FrameHeader = {
      ...{
        kind: 'ready',
        step: index % 16,
        rankFlags: 0,
        weight: 0,
        payloadByteLength: 0,
        credit: 0,
        descriptor: NO_DESCRIPTOR,
      },
      sequence: messageSequence({ from: 0, to: 1, index: Math.floor(index / 16) }, 2),
    }
    receiver.begin(header)
    receiver.onComplete(header, [])
  }
  t.notThrows(() => times(MOST_ANNOUNCED, announce))
  await onAll(world.ranks, (comm) => comm.barrier())
  t.throws(() => announce(MOST_ANNOUNCED), { code: 'ERR_MISMATCH', message: /more than 1048576 announcements/ })
  await world.close()
})

test('many calls may have the same signal', async (t) => {
  const warnings: Error[] = []
  const listen = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const world = await makeWorld(2)
  const controller = new AbortController()
  const { signal } = controller
  const done = await onAll(world.ranks, (comm) => Promise.all(times(50, () => comm.barrier({ signal }))))
  t.is(done.length, 2)
  const waiting = times(50, () => world.ranks[1]!.receive(new Uint8Array(1), { from: 0, signal }))
  controller.abort(new Error('enough'))
  for (const error of (await failuresOf(waiting)) as AdasumError[]) {
    t.is(error.code, 'ERR_ABORTED')
    t.is((error.cause as Error).message, 'enough')
  }
  t.deepEqual(warnings, [])
  await world.close()
})

// ---- queues against plain lists

test('a queue gives what was put in, in order, whatever the order of putting in and taking out', (t) => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 300 }), fc.boolean(), (steps, isDrained) => {
      const queue = new Queue<number>()
      const list: number[] = []
      steps.forEach((isPut, number) => {
        if (isPut) {
          queue.push(number)
          list.push(number)
        } else t.is(queue.shift(), list.shift())
        t.deepEqual([queue.length, queue.first], [list.length, list[0]])
      })
      if (isDrained) t.deepEqual(queue.drain(), list.splice(0))
      t.deepEqual([queue.length, queue.first], [list.length, list[0]])
      queue.push(-1)
      t.is(queue.shift(), list.shift() ?? -1)
    }),
  )
})

function frameOf(sequence: number, step: number): OutgoingMessage {
  const header = {
    kind: 'data',
    rankFlags: 0,
    weight: 0,
    payloadByteLength: 0,
    credit: 0,
    descriptor: NO_DESCRIPTOR,
  } as const
  return { header: { ...header, sequence, step }, parts: [], resolve: () => undefined, reject: () => undefined }
}

test('small frames: the first of all and the first of a collective are those of a plain list', (t) => {
  const step = fc.record({ sequence: fc.integer({ min: 1, max: 5 }), act: fc.constantFrom('push', 'first', 'firstOf') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const frames = new EagerFrames()
      const list: OutgoingMessage[] = []
      const same = (frame: EagerFrame | undefined, index: number): void => {
        t.is(frame?.outgoing, list[index])
        if (!frame) return
        frames.remove(frame)
        list.splice(index, 1)
      }
      steps.forEach(({ sequence, act }, number) => {
        if (act === 'push') {
          const outgoing = frameOf(sequence, number)
          frames.push(outgoing)
          list.push(outgoing)
        } else if (act === 'first') same(frames.first, 0)
        else {
          const index = list.findIndex(({ header }) => header.sequence === sequence)
          same(frames.firstOf(sequence), index < 0 ? list.length : index)
        }
      })
      t.deepEqual(frames.drain(), list)
      t.is(frames.first, undefined)
    }),
  )
})
