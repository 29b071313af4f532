/** A pipe that is not open yet: what is written to it is not lost, whatever comes next. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { createMemoryTransport } from '../../ts/src/transport/memory.ts'
import { PendingPipe } from '../../ts/src/transport/pending.ts'
import { Collector, connectPair, write } from './_compliance.ts'

test('what was written before it was ended goes out once it is open, then the end', async (t) => {
  const { dialled, accepted } = await connectPair(t, createMemoryTransport())
  const pending = new PendingPipe('memory:1')
  const written = write(pending, Buffer.from('last words'))
  pending.end()
  t.is(await Promise.race([pending.closed, sleep(20, 'waits')]), 'waits')
  const far = new Collector()
  accepted.setSink(far)
  t.true(pending.attach(dialled))
  await written
  t.is(await far.finished, undefined)
  t.is(Buffer.from(far.bytes).toString(), 'last words')
  await t.throwsAsync(write(pending, Buffer.from('too late')))
})

test('a write behind the end fails, also as long as nobody has come', async (t) => {
  const pending = new PendingPipe('memory:1')
  pending.end()
  await t.throwsAsync(write(pending, Buffer.from('too late')), { message: /was ended/ })
})

test('one that is given up fails what waits, and closes', async (t) => {
  const pending = new PendingPipe('memory:1')
  const written = write(pending, Buffer.from('last words'))
  pending.end()
  pending.destroy()
  await t.throwsAsync(written, { message: /memory:1 was given up before it was open/ })
  await pending.closed
  const { dialled } = await connectPair(t, createMemoryTransport())
  t.false(pending.attach(dialled))
})
