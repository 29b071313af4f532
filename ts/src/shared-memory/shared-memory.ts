/**
 * Memory that ranks of one machine share. If a message lies in a segment of the sender's, the sender does not send it:
 * it offers its location, and the peer reads it there.
 *
 * Own segments are found by their ArrayBuffers, so arrays from `allocate` are recognised wherever they are used, also
 * by another communicator of the process. A peer's segment is mapped when a message first lies in it, and stays mapped,
 * because a training loop uses the same few all the time. Segments that their owners have given up are unmapped when
 * the next one is mapped.
 *
 * A message may change while it is read, if the owner's call fails: see `PeerOffer.finish`, and mapping.rs for how the
 * reader notices it.
 */
import { emitWarning, randomBytes } from '#platform'
import { totalmem } from 'node:os'
import { type Segment, type SharedMemoryBinding, TAG_BYTE_LENGTH } from '../binding/shared-memory.ts'
import { hexOf } from '../bytes.ts'
import { AdasumError } from '../errors.ts'
import { openFileLimit } from '../transport/open-files.ts'
import { type PeerOffer, LEAST_SEGMENT_BYTE_LENGTH, type Location, type Offer, type OwnOffer } from './offer.ts'

/** Whether this system lets processes share memory. */
export const HAS_SHARED_MEMORY: boolean = process.platform === 'linux' || process.platform === 'darwin'

/** Parts outside shared memory travel in the offer if they are at most this long together. */
const SHORT_BYTE_LENGTH = 16 << 10
/** The most parts that an offered message may have. */
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

/** The segments of all communicators of this process, so that each recognises the arrays of the others. */
const ownSegments = new WeakMap<ArrayBufferLike, OwnSegment>()

/**
 * How many segments this process has. Each holds an open file, through which peers map it, as long as its buffer is
 * used.
 */
let segmentCount = 0
const released = new FinalizationRegistry<undefined>(() => segmentCount--)

/** Up to this many segments the limit of open files does not matter, and is not asked for. */
const FEW_SEGMENTS = 32

/** Segments may use half of the open files; the other half is for connections, and for the program. */
function mayOpenAnother(): boolean {
  return segmentCount < FEW_SEGMENTS || segmentCount < Math.floor(openFileLimit() / 2)
}

interface PeerSegment {
  readonly segment: Segment
  readonly bytes: Uint8Array
}

export class SharedMemory {
  readonly #binding: SharedMemoryBinding
  readonly #limitByteLength: number
  readonly #peerSegments = new Map<string, PeerSegment>()
  readonly #collected = new FinalizationRegistry<number>((byteLength) => (this.#reservedByteLength -= byteLength))
  #reservedByteLength = 0
  #hasWarned = false

  /** @param limitByteLength - what this process may reserve at most, for this world */
  constructor(binding: SharedMemoryBinding, limitByteLength: number = Infinity) {
    this.#binding = binding
    this.#limitByteLength = limitByteLength
  }

  /**
   * Proves, through a second mapping, that what this process writes is what a peer reads. Electron and others forbid
   * memory that is not the engine's own; then an ArrayBuffer is a copy, and what is written into it reaches nobody.
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
    if (!isSeen()) throw copiedMemoryError('what this process writes into its memory reaches no other')
    // The bytes are changed and compared again: a copy would have only what had been written when it was made.
    for (const [i, byte] of tag.entries()) written[i] = ~byte
    if (!isSeen()) throw copiedMemoryError('what others write does not reach this process')
  }

  /** Zeroed memory that peers can read; undefined if there is none, or if the length is not worth a segment. */
  allocate(byteLength: number): ArrayBuffer | undefined {
    if (byteLength <= LEAST_SEGMENT_BYTE_LENGTH || !this.#mayReserve(byteLength)) return undefined
    if (!mayOpenAnother()) return this.#warnOfFiles()
    const tag = randomBytes(TAG_BYTE_LENGTH)
    try {
      const segment = this.#binding.createSegment(byteLength, tag)
      const buffer = segment.buffer()
      ownSegments.set(buffer, new OwnSegment(segment, tag, byteLength))
      segmentCount++
      released.register(buffer, undefined)
      this.#reservedByteLength += byteLength
      this.#collected.register(buffer, byteLength)
      return buffer
    } catch {
      // Shared memory is optional: the caller uses ordinary memory instead.
      return undefined
    }
  }

  /** Reserving takes the memory at once. Beyond what is free, Linux would kill processes to find some. */
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
    return ownSegments.has(bytes.buffer)
  }

  /** Whether all parts lie in segments of this process, except for some short ones. */
  holdsAll(parts: readonly Uint8Array[]): boolean {
    const others = parts.filter((part) => part.length > 0 && !this.holds(part))
    return others.reduce((sum, { length }) => sum + length, 0) <= SHORT_BYTE_LENGTH
  }

  /**
   * Makes an offer of a message for one peer; undefined if the parts do not allow it, or all state words are in use.
   */
  offer(parts: readonly Uint8Array[]): OwnOffer | undefined {
    const filled = parts.filter(({ length }) => length > 0)
    const first = filled.find((part) => this.holds(part))
    if (!first || filled.length > MOST_ITEMS || !this.holdsAll(filled)) return undefined
    const own = ownSegments.get(first.buffer)!
    const { segment } = own
    const taken = own.take()
    if (!taken) return undefined
    const { word, generation } = taken
    segment.publish(word, generation)
    return {
      offer: { word, generation, items: filled.map(itemOf) },
      reclaimIfRead: () => {
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

  /** The reader's side of a peer's offer. Throws if the peer's memory cannot be mapped here. */
  borrow({ word, generation, items }: Offer): PeerOffer {
    let first: Segment | undefined
    const parts = items.map((item) => {
      if (ArrayBuffer.isView(item)) return item
      const { segment, bytes } = this.#open(item)
      first ??= segment
      return bytes.subarray(item.offset, item.offset + item.byteLength)
    })
    const stateSegment = first
    return {
      parts,
      isAvailable: stateSegment?.isPublished(word, generation) === true,
      finish: () => stateSegment?.finish(word, generation) === true,
    }
  }

  #open({ pid, fd, tag, segmentByteLength, offset, byteLength }: Location): PeerSegment {
    const key = hexOf(tag)
    let peer = this.#peerSegments.get(key)
    if (!peer) {
      const segment = this.#binding.openSegment(pid, fd, segmentByteLength, tag)
      peer = { segment, bytes: new Uint8Array(segment.buffer()) }
      for (const [other, { segment }] of this.#peerSegments) if (segment.isRetired()) this.#peerSegments.delete(other)
      this.#peerSegments.set(key, peer)
    }
    if (offset + byteLength <= peer.bytes.length) return peer
    throw new Error(`bytes ${offset} to ${offset + byteLength} of a segment of ${peer.bytes.length}`)
  }

  /** Warns, once: all further warnings have the same reason, or one with the same remedy. */
  warn(message: string): void {
    if (!this.#hasWarned) emitWarning(message, 'ADASUM_SHARED_MEMORY')
    this.#hasWarned = true
  }

  /** Unmaps peers' memory. This process's own memory lives as long as its arrays. */
  close(): void {
    this.#peerSegments.clear()
  }
}

function copiedMemoryError(what: string): AdasumError {
  const runtime = process.versions['electron'] === undefined ? 'This runtime' : 'Electron'
  return new AdasumError(
    'ERR_UNSUPPORTED',
    `${runtime} copies memory that is not its own, so ${what}. Plain Node.js shares it.`,
  )
}

/**
 * macOS takes no memory before it is used, and pages out what does not fit. Node.js counts free pages there, of which
 * macOS keeps few, so the total counts instead.
 */
function availableByteLength(): number {
  return process.platform === 'darwin' ? totalmem() : process.availableMemory()
}

function itemOf(part: Uint8Array): Location | Uint8Array {
  const own = ownSegments.get(part.buffer)
  if (!own) return part
  const { segment, tag, byteLength: segmentByteLength } = own
  const { pid } = process
  return { pid, fd: segment.fd, tag, segmentByteLength, offset: part.byteOffset, byteLength: part.length }
}
