/** One collective under way on this rank: its messages, its progress and its deadline. */
import { nextTurn } from '#platform'
import type { ErrorCode } from '../errors.ts'
import type { CallWords, ObservedCall, Phase, PhaseObserver, Span } from '../observe/observer.ts'
import { NO_SPAN, type Recorder } from '../observe/recorder.ts'
import { totalByteLength } from '../tensor/check.ts'
import type { Tuning } from '../tuning.ts'
import type { Descriptor } from '../wire/frame.ts'
import { HEADER_BYTE_LENGTH } from '../wire/frame.ts'
import { collectiveName, wordsOf } from './descriptor.ts'
import { isEager, messageOf } from './numbering.ts'
import type { Peer } from './peer.ts'
import type { Progress, Received, Want } from './slot.ts'

export interface CallLinks {
  readonly rank: number
  readonly size: number
  /** What follows the names of calls; empty for the world. */
  readonly name: string
  readonly tuning: Tuning
  readonly recorder: Recorder
  isShared(parts: readonly Uint8Array[]): boolean
  linkTo(peer: number): Peer
  /** To the peers that this rank has been in touch with. */
  links(): Iterable<Peer>
  /** Nothing has moved for a while: whoever this rank waits for should hear what it is waiting in. */
  announced(call: Call): void
  /** Nothing has moved for `stallMs`; the call goes on. */
  stalled(call: Call): void
  /** Nothing has moved for `timeoutMs`. */
  timedOut(call: Call): void
}

/** How long a call may be without any progress before it tells those that it waits for. */
const ANNOUNCE_MS = 1000

/** How long a call may be without any progress before this is reported, and before it fails. */
export interface CallLimits {
  readonly stallMs: number
  readonly timeoutMs: number
}

/** A message that may stay where the sender has it. */
export interface BorrowedMessage {
  /** Where it lies, or will lie: in memory of this rank, or of the sender. */
  readonly parts: Promise<readonly Uint8Array[]>
  readonly received: Promise<Received>
}

export class Call implements PhaseObserver, ObservedCall {
  readonly sequence: number
  readonly descriptor: Descriptor
  readonly words: CallWords
  readonly stallMs: number
  readonly timeoutMs: number
  /** Bytes handed to connections, headers included. */
  bytesSent = 0
  /** Bytes that connections are to bring, headers included: when the call is complete, they have come. */
  bytesReceived = 0
  /** Bytes that are read in the memory of ranks on the same machine. */
  sharedBytes = 0
  earlyBytes = 0
  offThreadKernels = 0
  lastFrom = -1
  readonly openSpans: Span[] = []
  readonly #links: CallLinks
  readonly #span: Span
  #isHeard = false
  #lastProgress = performance.now()
  #timer: NodeJS.Timeout
  /** The progress after which it has told that it stands still. */
  #announcedAfter = -1
  #isReported = false
  #isOver = false

  constructor(links: CallLinks, sequence: number, descriptor: Descriptor, { stallMs, timeoutMs }: CallLimits) {
    this.#links = links
    this.sequence = sequence
    this.descriptor = descriptor
    this.words = wordsOf(descriptor)
    this.stallMs = stallMs
    this.timeoutMs = timeoutMs
    this.#span = links.recorder.begin(this, 'call')
    this.#timer = this.#wakeAfter(this.#idleLimitMs())
  }

  get rank(): number {
    return this.#links.rank
  }

  get size(): number {
    return this.#links.size
  }

  get tuning(): Tuning {
    return this.#links.tuning
  }

  get operation(): string {
    return collectiveName(this.descriptor)
  }

  /** `all-reduce #17` */
  get title(): string {
    return titleOf(this.operation, this.sequence, this.#links)
  }

  get elementCount(): number {
    return this.descriptor.elementCount
  }

  get segmentCount(): number {
    return this.descriptor.segmentCount
  }

  /** Posts memory for a peer's message; resolves with that peer's rank flags once it is filled. */
  receive(from: number, step: number, parts: readonly Uint8Array[], progress?: Progress): Promise<number> {
    const want = { byteLength: totalByteLength(parts), memory: () => parts, borrows: false, progress }
    return ignoreRejection(this.#receive(from, step, want).then(({ rankFlags }) => rankFlags))
  }

  /**
   * The same for a message that is only read: where memory is shared it stays with the sender, and `memory` is not asked for.
   * Whoever has read it calls `finish`, whether it came so or not.
   */
  borrow(
    from: number,
    step: number,
    byteLength: number,
    memory: () => readonly Uint8Array[],
    progress?: Progress,
  ): BorrowedMessage {
    let received: Promise<Received> | undefined
    const parts = new Promise<readonly Uint8Array[]>((located, reject) => {
      received = this.#receive(from, step, { byteLength, memory, borrows: true, located, progress })
      received.catch(reject)
    })
    return { parts: ignoreRejection(parts), received: received! }
  }

  #receive(from: number, step: number, want: Want): Promise<Received> {
    const link = this.#links.linkTo(from)
    const { byteLength } = want
    const throughConnection = link.receivedByteLength(byteLength)
    this.bytesReceived += throughConnection
    this.sharedBytes += HEADER_BYTE_LENGTH + byteLength - throughConnection
    // A large message is asked for by a READY frame, or its reader says DONE.
    if (!isEager(this.sequence, byteLength)) this.bytesSent += HEADER_BYTE_LENGTH
    return ignoreRejection(link.receive(this.sequence, step, this.descriptor, want))
  }

  /** Sends to a peer; resolves when the memory may change again. */
  send(to: number, step: number, parts: readonly Uint8Array[], rankFlags = 0): Promise<void> {
    const payloadByteLength = totalByteLength(parts)
    const link = this.#links.linkTo(to)
    this.bytesSent += link.sentByteLength(payloadByteLength)
    const { sequence, descriptor } = this
    const header = { kind: 'data', sequence, step, rankFlags, payloadByteLength, credit: 0, descriptor } as const
    return ignoreRejection(link.send(header, parts))
  }

  /** @param from - the rank from which something has come, if it has not gone */
  progressed(from: number = this.lastFrom): void {
    this.#lastProgress = performance.now()
    this.lastFrom = from
  }

  /** A peer has been heard of in this call. */
  heard(): void {
    if (this.#isHeard) return
    this.#isHeard = true
    this.#links.recorder.heard(this)
  }

  /**
   * Whether all of it is memory that this process shares: ranks of this machine read it where it is, and it is never
   * transferred away, so other threads may touch it, too.
   */
  isShared(parts: readonly Uint8Array[]): boolean {
    return this.#links.isShared(parts)
  }

  /** Peers this call waits for. */
  waitingFor(): Peer[] {
    return [...this.#links.links()].filter((link) => link.isWaiting(this.sequence))
  }

  /**
   * The peers without which it cannot go on, as far as this rank can tell; the one that has been silent the longest first. Those
   * that this rank waits for may in turn wait for others: whoever does says so once it stands still, and is not to blame.
   */
  missing(): Peer[] {
    const partners = new Set(this.partners())
    const linked = [...this.#links.links()].filter(({ peer }) => partners.has(peer))
    const waiting = linked.filter((link) => link.isWaiting(this.sequence))
    if (waiting.length === 0) return []
    const unheard = (links: Peer[]): Peer[] => links.filter((link) => !link.hasHeard(this.sequence))
    const silent = (links: Peer[]): Peer[] => links.filter(({ heardAt }) => heardAt <= this.#lastProgress)
    const suspects = [unheard(waiting), unheard(linked), silent(waiting), silent(linked), waiting]
    return suspects.find(({ length }) => length > 0)!.sort((a, b) => a.heardAt - b.heardAt)
  }

  waitingRanks(): number[] {
    return this.waitingFor().map(({ peer }) => peer)
  }

  /** The ranks that take part, but for this one. */
  partners(): number[] {
    const message = messageOf(this.sequence, this.size)
    return message ? [message.from === this.rank ? message.to : message.from] : peersOf(this)
  }

  /** Of those, the ones that have come to this call, as far as this rank has heard. */
  arrived(): number[] {
    const here = new Set<number>()
    for (const link of this.#links.links()) if (link.hasHeard(this.sequence)) here.add(link.peer)
    return this.partners().filter((rank) => here.has(rank))
  }

  // ---- for those who watch

  begin(phase: Phase): Span {
    return this.#isOver ? NO_SPAN : this.#links.recorder.begin(this, phase)
  }

  end(span: Span): void {
    if (span.call === this) this.#links.recorder.end(span)
  }

  wentOffThread(count: number): void {
    this.offThreadKernels += count
  }

  /** @param code - why it has failed, if it has */
  ended(code?: ErrorCode): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#links.recorder.callEnded(this, this.#span, code)
  }

  /** Whether it has made no progress for `stallMs`. */
  get standsStill(): boolean {
    return performance.now() - this.#lastProgress >= this.stallMs
  }

  /** When the next thing is done about standing still: telling others, the report, once, then the deadline. */
  #idleLimitMs(): number {
    const reportMs = this.#isReported ? this.timeoutMs : this.stallMs
    const announceMs = Math.min(ANNOUNCE_MS, this.stallMs / 2, this.timeoutMs / 2)
    return Math.min(this.#isAnnounced ? reportMs : announceMs, this.timeoutMs)
  }

  get #isAnnounced(): boolean {
    return this.#announcedAfter === this.#lastProgress
  }

  #wakeAfter(waitMs: number): NodeJS.Timeout {
    // Referenced: connections are not, and a process must not exit while it waits for a collective.
    return setTimeout(() => void this.#look(), waitMs)
  }

  async #look(): Promise<void> {
    const idleMs = (): number => performance.now() - this.#lastProgress
    // After a long synchronous computation timers run before data that has long been there: let that come first.
    for (let turn = 0; turn < 2 && idleMs() >= this.#idleLimitMs(); turn++) await nextTurn()
    if (this.#isOver) return
    if (idleMs() >= this.timeoutMs) return this.#links.timedOut(this)
    if (idleMs() >= this.#idleLimitMs()) this.#standStill()
    this.#timer = this.#wakeAfter(Math.max(1, this.#idleLimitMs() - idleMs()))
  }

  #standStill(): void {
    if (!this.#isAnnounced) {
      this.#announcedAfter = this.#lastProgress
      return this.#links.announced(this)
    }
    this.#isReported = true
    this.#links.stalled(this)
  }
}

/** `all-reduce #17`, `message #3 from rank 0 to rank 2` */
export function titleOf(operation: string, sequence: number, group: { size: number; name: string }): string {
  const message = messageOf(sequence, group.size)
  const place = message ? `${message.index + 1} from rank ${message.from} to rank ${message.to}` : sequence
  return `${operation} #${place}${group.name}`
}

/** All other ranks, nearest higher one first, so that not all ranks start with the same peer. */
export function peersOf({ rank, size }: { rank: number; size: number }): number[] {
  return Array.from({ length: size - 1 }, (_, i) => (rank + i + 1) % size)
}

/** A promise whose rejection somebody will look at later, or nobody needs to: the group's failure is what counts. */
function ignoreRejection<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
