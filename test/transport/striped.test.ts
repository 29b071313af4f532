/** Several connections as one pipe: what every pipe promises, and what is theirs alone. */
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext, type TestFn } from 'ava'
import { systemCode } from '../../ts/src/errors.ts'
import { type MemoryTransport, createMemoryTransport } from './_memory.ts'
import { StripedPipe } from '../../ts/src/transport/striped.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Sink } from '../../ts/src/transport/transport.ts'
import { fc, runsOf } from '../_property.ts'
import { Collector, compliance, connectPair, randomBytes, write } from './_compliance.ts'
import { mulberry32 } from './_random.ts'
import { striped } from './_striped.ts'

// One after the other: each of them opens many sockets.
const test = anyTest.serial

/** The same suite several times in one file needs several names. */
function named(prefix: string): TestFn {
  const prefixed = (title: string, run: (t: ExecutionContext) => Promise<void>) => test(`${prefix}: ${title}`, run)
  return Object.assign(prefixed, { before: test.before }) as unknown as TestFn
}

compliance(named('2 of tcp'), 'tcp', () => striped(tcp, 2), 2)
compliance(named('4 of tcp, short stripes'), 'tcp', () => striped(tcp, 4, 10_000), 4)
compliance(named('2 of memory, short stripes'), 'memory', () => striped(createMemoryTransport(), 2, 1000), 2)
compliance(named('4 of memory'), 'memory', () => striped(createMemoryTransport(), 4), 4)

const STRIPE = 1000

/** Fills one array in place, and knows beforehand where everything goes. */
class Assembler implements Sink {
  readonly into: Uint8Array
  readonly ending: Promise<Error | undefined>
  told = 0
  endings = 0
  readonly #spare = new Uint8Array(1)
  #end: (error: Error | undefined) => void = () => undefined

  constructor(into: Uint8Array) {
    this.into = into
    this.ending = new Promise((resolve) => (this.#end = resolve))
  }
  target(): Uint8Array {
    return this.told < this.into.length ? this.into.subarray(this.told) : this.#spare
  }
  targetAhead(distance: number): Uint8Array | undefined {
    const at = this.told + distance
    return at < this.into.length ? this.into.subarray(at) : undefined
  }
  onFilled(byteLength: number): void {
    this.told += byteLength
  }
  onEnd(error?: Error): void {
    this.endings++
    this.#end(error)
  }
  async has(byteLength: number): Promise<void> {
    while (this.told < byteLength) await sleep(1)
  }
}

/** A striped pipe over memory, and the connections under its ends. */
async function stripedPair(t: ExecutionContext, count: number, network: MemoryTransport = createMemoryTransport()) {
  const pairs = []
  for (let i = 0; i < count; i++) pairs.push(await connectPair(t, network))
  const lanes = { dialled: pairs.map(({ dialled }) => dialled), accepted: pairs.map(({ accepted }) => accepted) }
  const join = (pipes: readonly Pipe[]) => new StripedPipe(pipes, STRIPE)
  return { network, lanes, dialled: join(lanes.dialled), accepted: join(lanes.accepted) }
}

const areEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

test('what comes before its turn is read into its place, and told of when its turn has come', async (t) => {
  const { network, lanes, dialled, accepted } = await stripedPair(t, 3)
  const bytes = randomBytes(10 * STRIPE, mulberry32(3)).map((byte) => byte || 1)
  const sink = new Assembler(new Uint8Array(bytes.length))
  accepted.setSink(sink)
  network.freeze((pipe) => pipe === lanes.dialled[0])
  const written = write(dialled, bytes)
  await sleep(50)
  t.is(sink.told, 0)
  for (let stripe = 0; stripe < 10; stripe++) {
    const [begin, end] = [stripe * STRIPE, (stripe + 1) * STRIPE]
    const expected = stripe % 3 === 0 ? new Uint8Array(STRIPE) : bytes.subarray(begin, end)
    t.true(areEqual(sink.into.subarray(begin, end), expected), `stripe ${stripe}`)
  }
  network.thaw()
  await Promise.all([written, sink.has(bytes.length)])
  t.true(areEqual(sink.into, bytes))
})

test('without a place for what comes before its turn, its connection is not read', async (t) => {
  const { network, lanes, dialled, accepted } = await stripedPair(t, 2)
  const sink = new Collector()
  accepted.setSink(sink)
  network.freeze((pipe) => pipe === lanes.dialled[0])
  const bytes = randomBytes(1 << 20, mulberry32(4))
  let isTaken = false
  const written = write(dialled, bytes).then(() => (isTaken = true))
  await sleep(50)
  t.deepEqual([sink.byteLength, isTaken], [0, false])
  network.thaw()
  await Promise.all([written, sink.has(bytes.length)])
  t.true(areEqual(sink.bytes, bytes))
})

test('a stream arrives whole, however it is cut, whoever reads it and wherever the bytes land', async (t) => {
  const step = fc.record({
    kind: fc.constantFrom('assembler', 'collector', 'nobody'),
    length: fc.integer({ min: 1, max: 9000 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.array(step, { minLength: 1, maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 10 }),
      fc.nat(),
      async (count, maxChunkByteLength, steps, writes, seed) => {
        const network = createMemoryTransport({ maxChunkByteLength, seed })
        const { dialled, accepted } = await stripedPair(t, count, network)
        const readers = steps.filter(({ kind }) => kind !== 'nobody')
        const total = readers.reduce((sum, { length }) => sum + length, 0)
        const bytes = randomBytes(total, mulberry32(seed))
        for (let at = 0, i = 0; at < total; i++) {
          const length = writes[i % writes.length]!
          dialled.write(bytes.subarray(at, at + length))
          at += length
        }
        dialled.end()
        const parts: Uint8Array[] = []
        for (const { kind, length } of steps) parts.push(await readPart(accepted, kind, length))
        t.true(areEqual(Buffer.concat(parts), bytes))
        const last = new Collector()
        accepted.setSink(last)
        t.is(await last.finished, undefined)
        t.is(last.byteLength, 0)
        accepted.end()
        await Promise.all([dialled.closed, accepted.closed])
      },
    ),
    { numRuns: runsOf(150) },
  )
})

/** Reads so many bytes and no more, then leaves the pipe without a sink. */
async function readPart(pipe: Pipe, kind: string, length: number): Promise<Uint8Array> {
  if (kind === 'nobody') {
    await sleep(0)
    return new Uint8Array(0)
  }
  const into = new Uint8Array(length)
  const assembler = new Assembler(into)
  const sink: Sink = {
    target: () => assembler.target(),
    ...(kind === 'assembler' && { targetAhead: (distance: number) => assembler.targetAhead(distance) }),
    onFilled: (byteLength) => {
      assembler.onFilled(byteLength)
      if (assembler.told === length) pipe.setSink(null)
    },
    onEnd: (error) => assembler.onEnd(error),
  }
  pipe.setSink(sink)
  await assembler.has(length)
  return into
}

test('one connection that breaks breaks them all, at both ends, and also where nothing is read', async (t) => {
  for (const broken of [0, 1, 2]) {
    const { network, lanes, dialled, accepted } = await stripedPair(t, 3)
    const sinks = [dialled, accepted].map((pipe) => {
      const sink = new Collector()
      pipe.setSink(sink)
      return sink
    })
    await sleep(10)
    const written = write(dialled, new Uint8Array(10))
    await sinks[1]!.has(10)
    await written
    network.cut((pipe) => pipe === lanes.accepted[broken])
    for (const sink of sinks) t.is(systemCode(await sink.finished), 'ECONNRESET', `connection ${broken}`)
    await Promise.all([dialled.closed, accepted.closed])
    t.deepEqual(
      sinks.map(({ endings }) => endings),
      [1, 1],
    )
    t.is(network.pipes.size, 0)
    await t.throwsAsync(write(dialled, new Uint8Array(1)))
  }
})

test('one connection that ends alone is noticed when its turn comes', async (t) => {
  const { lanes, accepted } = await stripedPair(t, 3)
  const sink = new Collector()
  accepted.setSink(sink)
  await write(lanes.dialled[0]!, new Uint8Array(STRIPE))
  lanes.dialled[1]!.end()
  await sink.has(STRIPE)
  const error = await sink.finished
  t.is(systemCode(error), 'ECONNRESET')
  t.regex(error!.message, /one of the 3 connections to 127\.0\.0\.1:\d+ ended alone/)
  await accepted.closed
})

test('an end with a part missing is none', async (t) => {
  const { lanes, accepted } = await stripedPair(t, 3)
  const sink = new Collector()
  accepted.setSink(sink)
  await write(lanes.dialled[0]!, new Uint8Array(STRIPE))
  await write(lanes.dialled[2]!, new Uint8Array(STRIPE))
  for (const lane of lanes.dialled) lane.end()
  const error = await sink.finished
  t.is(sink.byteLength, STRIPE)
  t.is(systemCode(error), 'ECONNRESET')
  t.regex(error!.message, /ended with a part of it missing/)
})

test('writes are done in their order, also where a later one was taken first', async (t) => {
  const { network, lanes, dialled, accepted } = await stripedPair(t, 2)
  accepted.setSink(new Assembler(new Uint8Array(10 * STRIPE)))
  network.freeze((pipe) => pipe === lanes.dialled[0])
  const done: number[] = []
  for (let i = 0; i < 6; i++) dialled.write(new Uint8Array(STRIPE), (error) => (t.falsy(error), done.push(i)))
  await sleep(30)
  t.deepEqual(done, [])
  network.thaw()
  while (done.length < 6) await sleep(1)
  t.deepEqual(done, [0, 1, 2, 3, 4, 5])
})
