import test from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemCode } from '../../ts/src/errors.ts'
import { createMemoryTransport } from './_memory.ts'
import { PendingPipe } from '../../ts/src/transport/pending.ts'
import { Collector, compliance, connectPair, randomBytes, write } from './_compliance.ts'
import { mulberry32 } from './_random.ts'

compliance(test, 'memory', () => createMemoryTransport())

test('a seed chops the stream into random, reproducible chunks', async (t) => {
  const lengths = async (seed: number) => {
    const { dialled, accepted } = await connectPair(t, createMemoryTransport({ maxChunkByteLength: 50, seed }))
    const sink = new Collector()
    const bytes = randomBytes(2000, mulberry32(seed))
    accepted.setSink(sink)
    await write(dialled, bytes)
    t.deepEqual(new Uint8Array(sink.bytes), bytes)
    return sink.chunks.map((chunk) => chunk.length)
  }
  const first = await lengths(5)
  t.true(first.every((length) => length >= 1 && length <= 50))
  t.true(new Set(first).size > 10)
  t.deepEqual(await lengths(5), first)
  t.notDeepEqual(await lengths(6), first)
})

test('a frozen link carries nothing and loses nothing', async (t) => {
  const network = createMemoryTransport()
  const { dialled, accepted } = await connectPair(t, network)
  const other = await connectPair(t, network)
  const [sink, otherSink] = [new Collector(), new Collector()]
  accepted.setSink(sink)
  other.accepted.setSink(otherSink)
  network.freeze((pipe) => pipe === dialled)
  let done = false
  dialled.write(Buffer.from('waits'), () => (done = true))
  dialled.end()
  await write(other.dialled, Buffer.from('flows'))
  await sleep(20)
  t.deepEqual([sink.byteLength, done, otherSink.byteLength], [0, false, 5])
  network.thaw()
  t.is(await sink.finished, undefined)
  t.is(Buffer.from(sink.bytes).toString(), 'waits')
})

test('a cut link breaks both ends with ECONNRESET', async (t) => {
  const network = createMemoryTransport()
  const { dialled, accepted } = await connectPair(t, network)
  const sinks = [dialled, accepted].map((pipe) => {
    const sink = new Collector()
    pipe.setSink(sink)
    return sink
  })
  const written = write(dialled, new Uint8Array(10))
  network.cut((pipe) => pipe === accepted)
  t.is(systemCode(await t.throwsAsync(written)), 'ECONNRESET')
  for (const sink of sinks) t.is(systemCode(await sink.finished), 'ECONNRESET')
  await Promise.all([dialled.closed, accepted.closed])
  t.is(network.pipes.size, 0)
})

test('a reader may cut the link from inside its callback: the write is done once', async (t) => {
  const network = createMemoryTransport()
  const { dialled, accepted } = await connectPair(t, network)
  const outcomes: (Error | undefined)[] = []
  accepted.setSink({ target: () => new Uint8Array(10), onFilled: () => network.cut(), onEnd: () => {} })
  dialled.write(new Uint8Array(10), (error) => outcomes.push(error))
  dialled.write(new Uint8Array(10), (error) => outcomes.push(error))
  await Promise.all([dialled.closed, accepted.closed])
  t.deepEqual(outcomes.map(systemCode), ['ECONNRESET', 'ECONNRESET'])
})

test('a wildcard listener takes every host; two networks never meet', async (t) => {
  const [network, stranger] = [createMemoryTransport(), createMemoryTransport()]
  const listener = await network.listen('0.0.0.0', 0, (pipe) => pipe.destroy())
  const pipe = await network.dial('10.0.0.7', listener.port)
  t.is(pipe.remoteAddress, `10.0.0.7:${listener.port}`)
  pipe.destroy()
  t.is(systemCode(await t.throwsAsync(stranger.dial('10.0.0.7', listener.port))), 'ECONNREFUSED')
  await listener.close()
})

// ---- a pipe that is not open yet: what is written to it is not lost, whatever comes next

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
