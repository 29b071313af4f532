/**
 * Memory that ranks of one machine share. A rank that has a message lying in a segment of its own does not send it: it
 * tells where it lies, and the peer reads it there.
 *
 * Own segments are found by their ArrayBuffers, so arrays that `allocate` gave are recognised wherever they come back, and
 * also by another communicator of the process. Peers' segments are mapped when a message first lies in them, and kept: a
 * training loop has the same few all the time. Those that their owner has given up are let go when the next one is mapped.
 *
 * What is read in place may change if the owner's call fails: see `Borrowed.finish`, and mapping.rs for how that is noticed.
 */
import { emitWarning, randomBytes } from '#platform'
import { totalmem } from 'node:os'
import { type Segment, type SharedMemoryBinding, TAG_BYTE_LENGTH } from '../binding/shared-memory.ts'
import { hexOf } from '../bytes.ts'
import { AdasumError } from '../errors.ts'
import { openFileLimit } from '../transport/open-files.ts'
import { type Borrowed, LEAST_SEGMENT_BYTE_LENGTH, type Location, type Offer, type Placement } from './offer.ts'

/** Whether this system lets processes share memory. */
export const HAS_SHARED_MEMORY: boolean = process.platform === 'linux' || process.platform === 'darwin'

/** Parts that are not in shared memory come along with the offer if they are this short, together. */
const SHORT_BYTE_LENGTH = 16 << 10
/** Most parts of a message in shared memory. */
const MOST_ITEMS = 512
const MOST_GENERATIONS = 2 ** 30
/** A segment of this process, and which of its words are in use. */
class OwnSegment {
  readonly segment: Segment
  readonly tag: Uint8Array
  readonly byteLength: number
  readonly #free: number[] = []
  #used = 0
  #generation = 0

  constructor(segment: Segment, tag: Uint8Array, byteLength: number) {
    this.segment = segment
    this.tag = tag
    this.byteLength = byteLength
  }

  /** A word for a message, if there is one left. */
  take(): { word: number; generation: number } | undefined {
    const word = this.#free.pop() ?? (this.#used < this.segment.wordCount ? this.#used++ : undefined)
    if (word === undefined) return undefined
    this.#generation = (this.#generation + 1) % MOST_GENERATIONS
    return { word, generation: this.#generation }
  }

  giveBack(word: number): void {
    this.#free.push(word)
  }
}

/** Of all communicators of this process: an array stays what it is whoever gets it. */
const owned = new WeakMap<ArrayBufferLike, OwnSegment>()

/** Segments of this process. Each holds an open file, by which peers come to it, as long as its buffer is used. */
let segmentCount = 0
const released = new FinalizationRegistry<undefined>(() => segmentCount--)

/** So few never matter, and the limit need not be asked for. */
const FEW_SEGMENTS = 32

/** The other half of the files is for connections, and for the program. */
function mayOpenAnother(): boolean {
  return segmentCount < FEW_SEGMENTS || segmentCount < Math.floor(openFileLimit() / 2)
}

interface Opened {
  readonly segment: Segment
  readonly bytes: Uint8Array
}

export class SharedMemory {
  readonly #binding: SharedMemoryBinding
  readonly #limitByteLength: number
  readonly #opened = new Map<string, Opened>()
  readonly #collected = new FinalizationRegistry<number>((byteLength) => (this.#reservedByteLength -= byteLength))
  #reservedByteLength = 0
  #hasWarned = false

  /** @param limitByteLength - what this process may reserve at most, for this world */
  constructor(binding: SharedMemoryBinding, limitByteLength: number = Infinity) {
    this.#binding = binding
    this.#limitByteLength = limitByteLength
  }

  /**
   * Proves, through a second mapping, that what this process writes is what a peer reads. Electron and others forbid memory
   * that is not the engine's own; then an ArrayBuffer is a copy, and what is written into it reaches nobody.
   *
   * @throws what the system says if this process cannot make a segment, or cannot open it as a peer would; AdasumError
   *   ERR_UNSUPPORTED if its buffers are copies
   */
  probe(): void {
    const tag = randomBytes(TAG_BYTE_LENGTH)
    const own = this.#binding.createSegment(tag.length, tag)
    const written = new Uint8Array(own.buffer())
    written.set(tag)
    const peers = this.#binding.openSegment(process.pid, own.fd, tag.length, tag)
    const read = new Uint8Array(peers.buffer())
    const isSeen = (): boolean => Buffer.compare(read, written) === 0
    if (!isSeen()) throw copied('what this process writes into its memory reaches no other')
    // Once more, now that both are there: a reader's copy has only what had been written when it was made.
    for (const [i, byte] of tag.entries()) written[i] = ~byte
    if (!isSeen()) throw copied('what others write does not reach this process')
  }

  /** Zeroed memory that peers can read, or undefined if it is not to be had, or too short to be worth it. */
  allocate(byteLength: number): ArrayBuffer | undefined {
    if (byteLength <= LEAST_SEGMENT_BYTE_LENGTH || !this.#mayReserve(byteLength)) return undefined
    if (!mayOpenAnother()) return this.#warnOfFiles()
    const tag = randomBytes(TAG_BYTE_LENGTH)
    try {
      const segment = this.#binding.createSegment(byteLength, tag)
      const buffer = segment.buffer()
      owned.set(buffer, new OwnSegment(segment, tag, byteLength))
      segmentCount++
      released.register(buffer, undefined)
      this.#reservedByteLength += byteLength
      this.#collected.register(buffer, byteLength)
      return buffer
    } catch {
      // Everything works without.
      return undefined
    }
  }

  /** Reserving takes the memory at once; beyond what there is, Linux would end processes to find some. */
  #mayReserve(byteLength: number): boolean {
    const isWithin = this.#reservedByteLength + byteLength <= this.#limitByteLength
    return isWithin && byteLength <= availableByteLength() / 2
  }

  #warnOfFiles(): undefined {
    this.warn(
      `${segmentCount} arrays in shared memory hold half of the ${openFileLimit()} files that this process may have open: ` +
        'further ones are of the heap, and copied. Raise the limit (ulimit -n), or allocate fewer, larger arrays.',
    )
  }

  /** Whether the bytes lie in a segment of this process. */
  holds(bytes: Uint8Array): boolean {
    return owned.has(bytes.buffer)
  }

  /** Whether all of the parts do, but for some short ones. */
  holdsAll(parts: readonly Uint8Array[]): boolean {
    const others = parts.filter((part) => part.length > 0 && !this.holds(part))
    return others.reduce((sum, { length }) => sum + length, 0) <= SHORT_BYTE_LENGTH
  }

  /** Offers a message to one peer; undefined if that cannot be done with these parts, or all words are in use. */
  place(parts: readonly Uint8Array[]): Placement | undefined {
    const filled = parts.filter(({ length }) => length > 0)
    const first = filled.find((part) => this.holds(part))
    if (!first || filled.length > MOST_ITEMS || !this.holdsAll(filled)) return undefined
    const own = owned.get(first.buffer)!
    const { segment } = own
    const taken = own.take()
    if (!taken) return undefined
    const { word, generation } = taken
    segment.publish(word, generation)
    return {
      offer: { word, generation, items: filled.map(itemOf) },
      isFinished: () => {
        if (!segment.isFinished(word, generation)) return false
        own.giveBack(word)
        return true
      },
      withdraw: () => {
        segment.withdraw(word, generation)
        own.giveBack(word)
      },
    }
  }

  /** What a peer offers. Throws if its memory cannot be mapped here. */
  borrow({ word, generation, items }: Offer): Borrowed {
    let first: Segment | undefined
    const parts = items.map((item) => {
      if (ArrayBuffer.isView(item)) return item
      const { segment, bytes } = this.#open(item)
      first ??= segment
      return bytes.subarray(item.offset, item.offset + item.byteLength)
    })
    const of = first
    return {
      parts,
      isThere: of?.isPublished(word, generation) === true,
      finish: () => of?.finish(word, generation) === true,
    }
  }

  #open({ pid, fd, tag, segmentByteLength, offset, byteLength }: Location): Opened {
    const key = hexOf(tag)
    let opened = this.#opened.get(key)
    if (!opened) {
      const segment = this.#binding.openSegment(pid, fd, segmentByteLength, tag)
      opened = { segment, bytes: new Uint8Array(segment.buffer()) }
      for (const [other, { segment }] of this.#opened) if (segment.isRetired()) this.#opened.delete(other)
      this.#opened.set(key, opened)
    }
    if (offset + byteLength <= opened.bytes.length) return opened
    throw new Error(`bytes ${offset} to ${offset + byteLength} of a segment of ${opened.bytes.length}`)
  }

  /** Once: all that comes after it has the same reason, or one that is put right in the same way. */
  warn(message: string): void {
    if (!this.#hasWarned) emitWarning(message, 'ADASUM_SHARED_MEMORY')
    this.#hasWarned = true
  }

  /** Lets go of peers' memory. This process's own lives on with the arrays. */
  close(): void {
    this.#opened.clear()
  }
}

function copied(what: string): AdasumError {
  const runtime = process.versions['electron'] === undefined ? 'This runtime' : 'Electron'
  return new AdasumError(
    'ERR_UNSUPPORTED',
    `${runtime} copies memory that is not its own, so ${what}. Plain Node.js shares it.`,
  )
}

/** macOS takes no memory before it is used and pages out what does not fit; of free pages, which Node.js counts there, it keeps few. */
function availableByteLength(): number {
  return process.platform === 'darwin' ? totalmem() : process.availableMemory()
}

function itemOf(part: Uint8Array): Location | Uint8Array {
  const own = owned.get(part.buffer)
  if (!own) return part
  const { segment, tag, byteLength: segmentByteLength } = own
  const { pid } = process
  return { pid, fd: segment.fd, tag, segmentByteLength, offset: part.byteOffset, byteLength: part.length }
}
