/**
 * Pipes inside one process, with the manners of TCP: bytes arrive later than they are written, unknown ports refuse,
 * a pipe without a reader stops taking bytes. For tests and for ranks that share a process.
 *
 * What a real network does only now and then can be asked for: reads of random sizes from a seed, a link that falls
 * silent (`freeze`) or breaks (`cut`).
 */
import { Queue } from '../../ts/src/queue.ts'
import { formatAddress, isWildcard } from '../../ts/src/transport/address.ts'
import { Intake } from '../../ts/src/transport/intake.ts'
import type { Listener, Pipe, Sink, Transport } from '../../ts/src/transport/transport.ts'

export interface MemoryTransportOptions {
  /** Largest number of bytes that arrive at once; 256 KiB by default. */
  maxChunkByteLength?: number
  /** Seed of the random chunk sizes, 1 to `maxChunkByteLength`; without it every chunk is as large as it may be. */
  seed?: number
}

export interface MemoryTransport extends Transport {
  readonly name: 'memory'
  /** Both ends of every pipe that is not closed. */
  readonly pipes: ReadonlySet<Pipe>
  /**
   * Stops all traffic of the links of the chosen pipes (of all, by default), in both directions, as a stopped host
   * does.
   */
  freeze(where?: (pipe: Pipe) => boolean): void
  /** Lets frozen links go on where they stopped. */
  thaw(where?: (pipe: Pipe) => boolean): void
  /** Breaks the links of the chosen pipes: both ends see ECONNRESET. */
  cut(where?: (pipe: Pipe) => boolean): void
}

interface QueuedWrite {
  readonly bytes: Uint8Array
  /** What the bytes' length was: it drops to 0 when their memory is transferred away. */
  readonly byteLength: number
  taken: number
  readonly done: ((error?: Error) => void) | undefined
}

const DEFAULT_CHUNK_BYTE_LENGTH = 256 * 1024
const FIRST_FREE_PORT = 49152
// A timer that never matters but keeps the event loop alive, as an open socket does.
const LONGEST_TIMER_MS = 2 ** 31 - 1

function systemError(code: string, syscall: string, address: string): Error {
  return Object.assign(new Error(`${syscall} ${code} ${address}`), { code, syscall })
}

function keepAlive(): NodeJS.Timeout {
  return setInterval(() => {}, LONGEST_TIMER_MS)
}

/** What two ends share: everything that happens on it happens later, or once it thaws. */
class Link {
  readonly chunkByteLength: () => number
  #frozen = false
  #waiting: (() => void)[] = []

  constructor(chunkByteLength: () => number) {
    this.chunkByteLength = chunkByteLength
  }

  later(action: () => void): void {
    setImmediate(() => (this.#frozen ? this.#waiting.push(action) : action()))
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    const waiting = this.#waiting
    this.#waiting = []
    for (const action of waiting) this.later(action)
  }
}

class MemoryPipe implements Pipe {
  readonly localAddress: string
  readonly remoteAddress: string
  readonly closed: Promise<void>
  readonly link: Link
  peer!: MemoryPipe
  readonly #intake: Intake = new Intake(() => this.peer.#pumpLater())
  readonly #alive: NodeJS.Timeout = keepAlive()
  readonly #queue = new Queue<QueuedWrite>()
  #pumping = false
  #ending = false
  #sent = false
  #received = false
  #broken: Error | null = null
  #settleClosed: () => void = () => {}

  constructor(link: Link, localAddress: string, remoteAddress: string) {
    this.link = link
    this.localAddress = localAddress
    this.remoteAddress = remoteAddress
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve))
  }

  setSink(sink: Sink | null): void {
    this.#intake.setSink(sink)
  }

  write(bytes: Uint8Array, done?: (error?: Error) => void): void {
    if (this.#ending || this.#broken !== null) {
      const error = this.#broken ?? systemError('EPIPE', 'write', this.remoteAddress)
      process.nextTick(() => done?.(error))
      return
    }
    this.#queue.push({ bytes, byteLength: bytes.length, taken: 0, done })
    this.#pumpLater()
  }

  end(): void {
    if (this.#ending) return
    this.#ending = true
    this.#pumpLater()
  }

  destroy(): void {
    if (this.#broken !== null || (this.#sent && this.#received)) return
    this.#intake.drop()
    this.break(systemError('ECONNABORTED', 'destroy', this.remoteAddress))
    this.link.later(() => this.peer.break(systemError('ECONNRESET', 'read', this.localAddress)))
  }

  ref(): void {
    this.#alive.ref()
  }

  unref(): void {
    this.#alive.unref()
  }

  /** The link broke under this end: what was queued fails, what has arrived is still delivered. */
  break(error: Error): void {
    if (this.#broken !== null || (this.#sent && this.#received)) return
    this.#broken = error
    const cutOff = this.#queue.drain()
    setImmediate(() => {
      for (const write of cutOff) write.done?.(error)
      this.#intake.finish(error)
      this.#close()
    })
  }

  #pumpLater(): void {
    if (this.#pumping) return
    this.#pumping = true
    this.link.later(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  /** Moves one chunk to the other end, which may be full; then it asks again once it has drained. */
  #pump(): void {
    if (this.#broken !== null || this.#sent || this.peer.#intake.isFull) return
    const head = this.#queue.first
    if (head === undefined) {
      if (this.#ending) this.#finish()
      return
    }
    // Memory that was transferred away meanwhile is taken as sent, as a kernel would that has copied it before.
    const isLost = head.bytes.length !== head.byteLength
    const count = isLost ? 0 : Math.min(head.byteLength - head.taken, this.link.chunkByteLength())
    if (count > 0) this.peer.#intake.take(head.bytes.subarray(head.taken, head.taken + count))
    head.taken += count
    // The reader may have cut the link from inside its callback: then the queue has been failed already.
    if (this.#queue.first !== head) return
    if (isLost || head.taken === head.byteLength) {
      this.#queue.shift()
      head.done?.()
    }
    if (this.#queue.length > 0 || this.#ending) this.#pumpLater()
  }

  #finish(): void {
    this.#sent = true
    this.peer.#received = true
    this.peer.#intake.finish()
    this.#close()
    this.peer.#close()
  }

  #close(): void {
    if (this.#broken === null && !(this.#sent && this.#received)) return
    clearInterval(this.#alive)
    this.#settleClosed()
  }
}

class MemoryNetwork implements MemoryTransport {
  readonly name = 'memory'
  readonly pipes: Set<MemoryPipe> = new Set()
  readonly #listeners: Map<number, { host: string; accept: (pipe: Pipe) => void }[]> = new Map()
  readonly #chunkByteLength: () => number
  #nextFreePort = FIRST_FREE_PORT

  constructor({ maxChunkByteLength = DEFAULT_CHUNK_BYTE_LENGTH, seed }: MemoryTransportOptions) {
    this.#chunkByteLength = seed === undefined ? () => maxChunkByteLength : randomSizes(maxChunkByteLength, seed)
  }

  async listen(name: string, port: number, accept: (pipe: Pipe) => void): Promise<Listener> {
    const host = resolve(name)
    const bound = port === 0 ? this.#freePort() : port
    const entries = this.#listeners.get(bound) ?? []
    if (entries.some((other) => other.host === host || isWildcard(other.host) || isWildcard(host)))
      throw systemError('EADDRINUSE', 'listen', formatAddress(host, bound))
    const entry = { host, accept }
    this.#listeners.set(bound, [...entries, entry])
    const alive = keepAlive()
    const close = async () => {
      clearInterval(alive)
      const left = (this.#listeners.get(bound) ?? []).filter((other) => other !== entry)
      if (left.length > 0) this.#listeners.set(bound, left)
      else this.#listeners.delete(bound)
    }
    return { host, port: bound, close, ref: () => void alive.ref(), unref: () => void alive.unref() }
  }

  dial(name: string, port: number, signal?: AbortSignal): Promise<Pipe> {
    const host = resolve(name)
    return new Promise((settle, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      const abort = () => {
        clearImmediate(attempt)
        reject(signal?.reason)
      }
      const attempt = setImmediate(() => {
        signal?.removeEventListener('abort', abort)
        const entry = this.#listeners.get(port)?.find((other) => other.host === host || isWildcard(other.host))
        if (entry === undefined) return reject(systemError('ECONNREFUSED', 'connect', formatAddress(host, port)))
        const [dialled, accepted] = this.#pair(formatAddress(host, this.#freePort()), formatAddress(host, port))
        entry.accept(accepted)
        settle(dialled)
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  freeze(where: (pipe: Pipe) => boolean = () => true): void {
    for (const pipe of this.pipes) if (where(pipe)) pipe.link.freeze()
  }

  thaw(where: (pipe: Pipe) => boolean = () => true): void {
    for (const pipe of this.pipes) if (where(pipe)) pipe.link.thaw()
  }

  cut(where: (pipe: Pipe) => boolean = () => true): void {
    for (const pipe of [...this.pipes].filter(where)) {
      pipe.break(systemError('ECONNRESET', 'read', pipe.remoteAddress))
      pipe.peer.break(systemError('ECONNRESET', 'read', pipe.localAddress))
    }
  }

  #pair(dialler: string, listener: string): [MemoryPipe, MemoryPipe] {
    const link = new Link(this.#chunkByteLength)
    const dialled = new MemoryPipe(link, dialler, listener)
    const accepted = new MemoryPipe(link, listener, dialler)
    dialled.peer = accepted
    accepted.peer = dialled
    for (const pipe of [dialled, accepted]) {
      this.pipes.add(pipe)
      void pipe.closed.then(() => this.pipes.delete(pipe))
    }
    return [dialled, accepted]
  }

  #freePort(): number {
    while (this.#listeners.has(this.#nextFreePort)) this.#nextFreePort++
    return this.#nextFreePort++
  }
}

/** The one name this network knows. */
function resolve(name: string): string {
  return name === 'localhost' ? '127.0.0.1' : name
}

/** A small generator of Mulberry32's form: chunk sizes need variety, not quality. */
function randomSizes(largest: number, seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    const fraction = ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
    return 1 + Math.floor(fraction * largest)
  }
}

/** A network of its own: only pipes and listeners of the same transport object meet. */
export function createMemoryTransport(options: MemoryTransportOptions = {}): MemoryTransport {
  return new MemoryNetwork(options)
}
