import test from 'ava'
import { Intake, KEPT_LIMIT } from '../../ts/src/transport/intake.ts'
import type { Sink } from '../../ts/src/transport/transport.ts'

/** Writes down what it hears, in order. */
class Diary implements Sink {
  readonly entries: string[] = []
  readonly #memory = new Uint8Array(4)

  target(): Uint8Array {
    return this.#memory
  }
  onFilled(byteLength: number): void {
    this.entries.push(Buffer.from(this.#memory.subarray(0, byteLength)).toString())
  }
  onEnd(error?: Error): void {
    this.entries.push(error === undefined ? 'end' : error.message)
  }
}

const microtasks = () => new Promise((resolve) => setImmediate(resolve))

test('kept bytes come before new ones, and the end after both', async (t) => {
  const intake = new Intake(() => {})
  const diary = new Diary()
  intake.take(Buffer.from('ab'))
  intake.setSink(diary)
  t.is(intake.directSink, null)
  intake.take(Buffer.from('cdefgh'))
  intake.finish()
  t.deepEqual(diary.entries, [])
  await microtasks()
  t.deepEqual(diary.entries, ['ab', 'cdef', 'gh', 'end'])
})

test('it is full at its limit, says when it has drained, and then lends its sink again', async (t) => {
  let drained = 0
  const intake = new Intake(() => drained++)
  intake.take(new Uint8Array(KEPT_LIMIT - 1))
  t.false(intake.isFull)
  intake.take(new Uint8Array(1))
  t.true(intake.isFull)
  const diary = new Diary()
  intake.setSink(diary)
  await microtasks()
  t.is(drained, 1)
  t.false(intake.isFull)
  t.is(intake.directSink, diary)
  t.is(diary.entries.length, KEPT_LIMIT / 4 + 1)
})

test('bytes may change after they were taken', async (t) => {
  const intake = new Intake(() => {})
  const bytes = Buffer.from('kept')
  intake.take(bytes)
  bytes.fill(0)
  const diary = new Diary()
  intake.setSink(diary)
  await microtasks()
  t.deepEqual(diary.entries, ['kept'])
})

test('a sink that drops everything in mid-delivery hears only how it ended', async (t) => {
  const intake = new Intake(() => t.fail('drained'))
  const diary = new Diary()
  const dropping: Sink = {
    target: () => diary.target(),
    onFilled: (byteLength) => {
      diary.onFilled(byteLength)
      intake.drop()
      intake.finish(new Error('broken'))
    },
    onEnd: (error) => diary.onEnd(error),
  }
  intake.take(Buffer.from('abcdefgh'))
  intake.take(Buffer.from('ijkl'))
  intake.setSink(dropping)
  await microtasks()
  intake.take(Buffer.from('late'))
  t.deepEqual(diary.entries, ['abcd', 'broken'])
})

test('only the sink that is there at the end hears of it, once', async (t) => {
  const intake = new Intake(() => {})
  const [first, second] = [new Diary(), new Diary()]
  intake.setSink(first)
  intake.setSink(null)
  intake.finish(new Error('reset'))
  intake.finish()
  intake.setSink(second)
  await microtasks()
  intake.setSink(first)
  await microtasks()
  t.deepEqual([first.entries, second.entries], [[], ['reset']])
})
