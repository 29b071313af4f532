/** Queues against plain lists, in any order of putting in and taking out. */
import test from 'ava'
import { type EagerFrame, EagerFrames } from '../../ts/src/group/eager-frames.ts'
import type { Outgoing } from '../../ts/src/group/outbox.ts'
import { Queue } from '../../ts/src/queue.ts'
import { NO_DESCRIPTOR } from '../../ts/src/wire/frame.ts'
import { fc } from '../_property.ts'

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

function frameOf(sequence: number, step: number): Outgoing {
  const header = { kind: 'data', rankFlags: 0, payloadByteLength: 0, credit: 0, descriptor: NO_DESCRIPTOR } as const
  return { header: { ...header, sequence, step }, parts: [], resolve: () => undefined, reject: () => undefined }
}

test('small frames: the first of all and the first of a collective are those of a plain list', (t) => {
  const step = fc.record({ sequence: fc.integer({ min: 1, max: 5 }), act: fc.constantFrom('push', 'first', 'firstOf') })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const frames = new EagerFrames()
      const list: Outgoing[] = []
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
