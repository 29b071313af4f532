/** What every transport promises, as one suite: each test file runs it over one implementation. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext, TestFn } from 'ava'
import { systemCode } from '../../ts/src/errors.ts'
import type { Pipe, Sink, Transport } from '../../ts/src/transport/transport.ts'
import { mulberry32, type Random } from './_random.ts'
import { TYPESCRIPT_ARGS } from '../_typescript.ts'

const HOST = '127.0.0.1'
const MEBIBYTE = 2 ** 20

/** Collects everything in chunks of its choice; the target is reused as soon as its bytes are copied out. */
export class Collector implements Sink {
  readonly chunks: Uint8Array[] = []
  readonly finished: Promise<Error | undefined>
  byteLength = 0
  endings = 0
  readonly #memory: Uint8Array
  readonly #nextLength: () => number
  #target = 0
  #finish: (error: Error | undefined) => void = () => {}
  #waiting: { byteLength: number; resolve: () => void }[] = []

  constructor(nextLength: () => number = () => 65536, largest = 65536) {
    this.#memory = new Uint8Array(largest)
    this.#nextLength = nextLength
    this.finished = new Promise((resolve) => (this.#finish = resolve))
  }
  target(): Uint8Array {
    this.#target = this.#nextLength()
    return this.#memory.subarray(0, this.#target)
  }
  onFilled(byteLength: number): void {
    if (byteLength < 1 || byteLength > this.#target) throw new RangeError(`${byteLength} bytes in ${this.#target}`)
    this.chunks.push(this.#memory.slice(0, byteLength))
    this.byteLength += byteLength
    this.#waiting = this.#waiting.filter((w) => (w.byteLength > this.byteLength ? true : (w.resolve(), false)))
  }
  onEnd(error?: Error): void {
    this.endings++
    this.#finish(error)
  }
  has(byteLength: number): Promise<void> {
    if (this.byteLength >= byteLength) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ byteLength, resolve }))
  }
  get bytes(): Uint8Array {
    return Buffer.concat(this.chunks)
  }
}

/** Fills one large array directly, like a posted receive. */
class Filler implements Sink {
  readonly into: Uint8Array
  readonly full: Promise<void>
  filledByteLength = 0
  #resolve: () => void = () => {}
  readonly #spare = new Uint8Array(1)

  constructor(byteLength: number) {
    this.into = new Uint8Array(byteLength)
    this.full = new Promise((resolve) => (this.#resolve = resolve))
  }
  target(): Uint8Array {
    return this.filledByteLength < this.into.length ? this.into.subarray(this.filledByteLength) : this.#spare
  }
  onFilled(byteLength: number): void {
    this.filledByteLength += byteLength
    if (this.filledByteLength === this.into.length) this.#resolve()
  }
  onEnd(): void {}
}

export interface Pair {
  dialled: Pipe
  accepted: Pipe
}

export async function connectPair(t: ExecutionContext, transport: Transport): Promise<Pair> {
  let accept: (pipe: Pipe) => void = () => {}
  const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await transport.listen(HOST, 0, accept)
  const dialled = await transport.dial(HOST, listener.port)
  const accepted = await arrival
  await listener.close()
  t.teardown(async () => {
    dialled.destroy()
    accepted.destroy()
    await Promise.all([dialled.closed, accepted.closed])
  })
  return { dialled, accepted }
}

export function write(pipe: Pipe, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => pipe.write(bytes, (error) => (error ? reject(error) : resolve())))
}

export function randomBytes(byteLength: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(byteLength)
  const words = new Uint32Array(bytes.buffer, 0, byteLength >> 2)
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32
  for (let i = words.length * 4; i < byteLength; i++) bytes[i] = random() * 256
  return bytes
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const bothWays = ({ dialled, accepted }: Pair) =>
  [
    [dialled, accepted],
    [accepted, dialled],
  ] as const

/** Whether a promise settles within the time; for things that must not happen. */
async function settles(promise: Promise<unknown>, withinMs: number): Promise<boolean> {
  return Promise.race([promise.then(() => true), sleep(withinMs, false)])
}

/** @param count - of connections that make up a pipe */
export function compliance(test: TestFn, name: Transport['name'] | 'tls', create: () => Transport, count = 1): void {
  const seed = Number(process.env['ADASUM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  test.before((t) => t.log(`${name} compliance, seed ${seed}`))
  testData(test, create, seed)
  testSinks(test, create)
  testEndings(test, create)
  testAddresses(test, create)
  testProcessLife(test, name, count)
}

function testData(test: TestFn, create: () => Transport, seed: number): void {
  test('bytes keep their order in both directions at once', async (t) => {
    const pair = await connectPair(t, create())
    const random = mulberry32(seed)
    const sent = bothWays(pair).map(() => Array.from({ length: 200 }, () => randomBytes(1 + random() * 5000, random)))
    const received = bothWays(pair).map(([from, to], i) => {
      const sink = new Collector()
      to.setSink(sink)
      for (const bytes of sent[i]!) from.write(bytes)
      from.end()
      return sink
    })
    for (const [i, sink] of received.entries()) {
      t.is(await sink.finished, undefined)
      t.is(digest(sink.bytes), digest(Buffer.concat(sent[i]!)))
    }
    await Promise.all([pair.dialled.closed, pair.accepted.closed])
  })

  test('32 MiB go straight through in one write, both directions at once', async (t) => {
    const pair = await connectPair(t, create())
    const random = mulberry32(seed + 1)
    await Promise.all(
      bothWays(pair).map(async ([from, to]) => {
        const bytes = randomBytes(32 * MEBIBYTE + 3, random)
        const sink = new Filler(bytes.length)
        to.setSink(sink)
        await Promise.all([write(from, bytes), sink.full])
        t.is(digest(sink.into), digest(bytes))
      }),
    )
  })

  test('1,000 random chunk patterns of writes and targets', async (t) => {
    const pair = await connectPair(t, create())
    const random = mulberry32(seed + 2)
    for (const [from, to] of bothWays(pair)) {
      for (let pattern = 0; pattern < 500; pattern++) {
        const bytes = randomBytes(1 + random() ** 3 * 4000, random)
        const largest = 1 + Math.floor(random() ** 2 * 300)
        const sink = new Collector(() => 1 + Math.floor(random() * largest), largest)
        to.setSink(sink)
        for (let offset = 0; offset < bytes.length;) {
          const count = 1 + Math.floor(random() ** 2 * 1500)
          from.write(bytes.subarray(offset, offset + count))
          offset += count
        }
        await sink.has(bytes.length)
        to.setSink(null)
        if (Buffer.compare(sink.bytes, bytes) !== 0) return t.fail(`seed ${seed}, pattern ${pattern}: bytes differ`)
      }
    }
    t.pass()
  })

  test('a write of no bytes is done, too, and in order', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    accepted.setSink(new Collector())
    const order: number[] = []
    await Promise.all(
      [0, 5, 0].map(
        (length, i) =>
          new Promise<void>((resolve) => dialled.write(new Uint8Array(length), () => (order.push(i), resolve()))),
      ),
    )
    t.deepEqual(order, [0, 1, 2])
  })

  test('done comes later than write returns, exactly once a write, in order', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    const sink = new Collector()
    accepted.setSink(sink)
    const done: number[] = []
    for (let i = 0; i < 50; i++) dialled.write(new Uint8Array(100_000), (error) => (t.falsy(error), done.push(i)))
    t.deepEqual(done, [])
    dialled.end()
    t.is(await sink.finished, undefined)
    t.is(sink.byteLength, 5_000_000)
    await sleep(20)
    t.deepEqual(
      done,
      Array.from({ length: 50 }, (_, i) => i),
    )
  })
}

function testSinks(test: TestFn, create: () => Transport): void {
  test('bytes that come before the first sink are kept', async (t) => {
    for (const [from, to] of bothWays(await connectPair(t, create()))) {
      await write(from, Buffer.from('early'))
      await sleep(20)
      const sink = new Collector()
      to.setSink(sink)
      t.is(sink.byteLength, 0, 'nothing arrives from inside setSink')
      await write(from, Buffer.from(' and late'))
      await sink.has(14)
      t.is(Buffer.from(sink.bytes).toString(), 'early and late')
    }
  })

  test('without a sink a pipe stops reading, and later loses nothing', async (t) => {
    const random = mulberry32(7)
    for (const [from, to] of bothWays(await connectPair(t, create()))) {
      const bytes = randomBytes(32 * MEBIBYTE, random)
      const written = write(from, bytes)
      t.false(await settles(written, 1000), 'the system took 32 MiB that nobody reads')
      const sink = new Filler(bytes.length)
      to.setSink(sink)
      await Promise.all([written, sink.full])
      t.is(digest(sink.into), digest(bytes))
    }
  })

  test('a sink that detaches itself from inside filled keeps only what is its own', async (t) => {
    for (const [from, to] of bothWays(await connectPair(t, create()))) {
      const header = new Uint8Array(10)
      const gotHeader = new Promise<void>((resolve) => {
        let filled = 0
        to.setSink({
          target: () => header.subarray(filled),
          onFilled: (byteLength) => {
            filled += byteLength
            if (filled === 10) resolve(to.setSink(null))
          },
          onEnd: () => t.fail('told to a sink that had gone'),
        })
      })
      from.write(Buffer.from('0123456789abcdef'))
      await gotHeader
      from.write(Buffer.from('ghi'))
      await sleep(20)
      const sink = new Collector()
      to.setSink(sink)
      await sink.has(9)
      t.is(Buffer.from(header).toString() + Buffer.from(sink.bytes).toString(), '0123456789abcdefghi')
    }
  })

  test('after a switch the next bytes are the new sink’s, whoever’s memory they landed in', async (t) => {
    for (const [from, to] of bothWays(await connectPair(t, create()))) {
      const first = new Collector()
      to.setSink(first)
      await write(from, Buffer.from('one'))
      await first.has(3)
      const second = new Collector(() => 2, 2)
      to.setSink(second)
      await write(from, Buffer.from('two'))
      await second.has(3)
      await write(from, Buffer.from('three'))
      await second.has(8)
      t.is(Buffer.from(first.bytes).toString(), 'one')
      t.is(Buffer.from(second.bytes).toString(), 'twothree')
    }
  })

  test('filled always speaks of the last target, however often it moves', async (t) => {
    const [from, to] = bothWays(await connectPair(t, create()))[0]
    const slots = Array.from({ length: 64 }, () => new Uint8Array(37))
    const bytes = randomBytes(64 * 37, mulberry32(11))
    let slot = 0
    let offset = 0
    const sink = new Promise<void>((resolve) => {
      to.setSink({
        target: () => slots[slot]?.subarray(offset) ?? new Uint8Array(1),
        onFilled: (byteLength) => {
          offset += byteLength
          if (offset < 37) return
          slot++
          offset = 0
          if (slot === 64) resolve()
        },
        onEnd: () => {},
      })
    })
    await write(from, bytes)
    await sink
    t.is(digest(Buffer.concat(slots)), digest(bytes))
  })
}

function testEndings(test: TestFn, create: () => Transport): void {
  test('end closes one direction after everything written; the other goes on', async (t) => {
    for (const [index] of [0, 1].entries()) {
      const [from, to] = bothWays(await connectPair(t, create()))[index]!
      const [near, far] = [new Collector(), new Collector()]
      from.setSink(near)
      to.setSink(far)
      from.write(new Uint8Array(3_000_000))
      from.end()
      t.is(await far.finished, undefined)
      t.is(far.byteLength, 3_000_000)
      await write(to, Buffer.from('still here'))
      await near.has(10)
      t.false(await settles(from.closed, 20))
      to.end()
      t.is(await near.finished, undefined)
      await Promise.all([from.closed, to.closed])
      t.deepEqual([near.endings, far.endings], [1, 1])
    }
  })

  test('the end reaches a sink that comes after it, behind the kept bytes', async (t) => {
    for (const [from, to] of bothWays(await connectPair(t, create()))) {
      from.write(Buffer.from('last words'))
      from.end()
      await sleep(20)
      const sink = new Collector()
      to.setSink(sink)
      t.is(sink.endings, 0)
      t.is(await sink.finished, undefined)
      t.is(Buffer.from(sink.bytes).toString(), 'last words')
    }
  })

  test('a write after end fails alone', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    const sink = new Collector()
    accepted.setSink(sink)
    dialled.write(Buffer.from('before'))
    dialled.end()
    await t.throwsAsync(write(dialled, Buffer.from('after')))
    t.is(await sink.finished, undefined)
    t.is(Buffer.from(sink.bytes).toString(), 'before')
  })

  test('destroy fails every queued write exactly once, tells both sinks and closes both ends', async (t) => {
    for (const index of [0, 1]) {
      const [from, to] = bothWays(await connectPair(t, create()))[index]!
      const near = new Collector()
      from.setSink(near)
      const outcomes = Array.from({ length: 6 }, () => [] as (Error | undefined)[])
      for (const outcome of outcomes) from.write(new Uint8Array(8 * MEBIBYTE), (error) => outcome.push(error))
      await sleep(30)
      from.destroy()
      from.destroy()
      t.truthy(await near.finished)
      await from.closed
      const far = new Collector()
      to.setSink(far)
      await far.finished
      to.destroy()
      await to.closed
      t.true(far.byteLength < 48 * MEBIBYTE)
      for (const outcome of outcomes) t.is(outcome.length, 1)
      t.true(outcomes.at(-1)![0] instanceof Error)
      await t.throwsAsync(write(from, Buffer.from('too late')))
      t.deepEqual([near.endings, far.endings], [1, 1])
    }
  })

  test('a write that destroy cuts off is reported as failed, also the one under way', async (t) => {
    for (const index of [0, 1]) {
      const [from] = bothWays(await connectPair(t, create()))[index]!
      const written = write(from, new Uint8Array(64 * MEBIBYTE))
      await sleep(30)
      from.destroy()
      await t.throwsAsync(written)
    }
  })

  test('after destroy the sink gets no byte more, kept or new', async (t) => {
    for (const index of [0, 1]) {
      const [from, to] = bothWays(await connectPair(t, create()))[index]!
      let calls = 0
      const ended = new Promise<Error | undefined>((resolve) => {
        to.setSink({
          target: () => new Uint8Array(1),
          onFilled: () => (calls++, to.destroy()),
          onEnd: resolve,
        })
      })
      from.write(new Uint8Array(1000), () => {})
      t.true((await ended) instanceof Error)
      await to.closed
      t.is(calls, 1)
    }
  })

  test('closed waits for writes whose memory the system still holds', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    let done = false
    dialled.setSink(new Collector())
    dialled.write(new Uint8Array(16 * MEBIBYTE), () => (done = true))
    await sleep(20)
    accepted.destroy()
    dialled.destroy()
    await dialled.closed
    t.true(done)
  })

  test('errors of a pipe that nobody listens to crash nothing', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    accepted.destroy()
    await accepted.closed
    for (let i = 0; i < 5; i++) dialled.write(new Uint8Array(100_000))
    await sleep(30)
    dialled.destroy()
    await dialled.closed
    t.pass()
  })
}

function testAddresses(test: TestFn, create: () => Transport): void {
  test('both ends name each other', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    t.is(dialled.localAddress, accepted.remoteAddress)
    t.is(dialled.remoteAddress, accepted.localAddress)
    t.regex(dialled.remoteAddress, /^127\.0\.0\.1:\d+$/)
  })

  test('dialling a port that nobody has is refused; a taken port cannot be had', async (t) => {
    const transport = create()
    const listener = await transport.listen(HOST, 0, (pipe) => pipe.destroy())
    const taken = await t.throwsAsync(transport.listen(HOST, listener.port, () => {}))
    t.is(systemCode(taken), 'EADDRINUSE')
    await listener.close()
    const refused = await t.throwsAsync(transport.dial(HOST, listener.port))
    t.is(systemCode(refused), 'ECONNREFUSED')
    const again = await transport.listen(HOST, listener.port, () => {})
    t.is(again.port, listener.port)
    await again.close()
  })

  test('closing a listener leaves its pipes alone', async (t) => {
    const { dialled, accepted } = await connectPair(t, create())
    const sink = new Collector()
    accepted.setSink(sink)
    await write(dialled, Buffer.from('alive'))
    await sink.has(5)
    t.pass()
  })

  test('an aborted dial rejects with the reason and leaves no pipe', async (t) => {
    const transport = create()
    let accepted = 0
    const listener = await transport.listen(HOST, 0, (pipe) => {
      accepted++
      pipe.setSink(new Collector())
      void pipe.closed.then(() => accepted--)
      pipe.end()
    })
    t.teardown(() => listener.close())
    const reason = new Error('changed my mind')
    t.is(await t.throwsAsync(transport.dial(HOST, listener.port, AbortSignal.abort(reason))), reason)
    const controller = new AbortController()
    const dialling = transport.dial(HOST, listener.port, controller.signal)
    controller.abort(reason)
    t.is(await t.throwsAsync(dialling), reason)
    const late = new AbortController()
    const pipe = await transport.dial(HOST, listener.port, late.signal)
    late.abort(reason)
    await write(pipe, Buffer.from('an abort after the dial changes nothing'))
    pipe.end()
    pipe.setSink(new Collector())
    await pipe.closed
    for (let i = 0; i < 50 && accepted > 0; i++) await sleep(10)
    t.is(accepted, 0)
  })
}

function testProcessLife(test: TestFn, name: Transport['name'] | 'tls', count: number): void {
  const script = fileURLToPath(new URL('_idle.ts', import.meta.url))
  const run = async (mode: string): Promise<number | NodeJS.Signals> => {
    const child = spawn(process.execPath, [...TYPESCRIPT_ARGS, script, name, mode, `${count}`], { stdio: 'inherit' })
    const killer = setTimeout(() => child.kill('SIGKILL'), mode === 'ref' ? 2500 : 20_000)
    await once(child, 'exit')
    clearTimeout(killer)
    return child.signalCode ?? child.exitCode ?? -1
  }

  test('a process with only unreferenced pipes and listeners exits', async (t) => {
    t.is(await run('unref'), 0)
  })

  test('a referenced pipe keeps its process', async (t) => {
    t.is(await run('ref'), 'SIGKILL')
  })
}
