/** One collective under way on this rank: its messages, its progress and its deadline. */
import { nextTurn } from '#platform'
import type { ErrorCode } from '../errors.ts'
import type { CallWords, ObservedCall, Phase, PhaseObserver, Span } from '../observe/observer.ts'
import { NO_SPAN, type Recorder } from '../observe/recorder.ts'
import { totalByteLength } from '../tensor/check.ts'
import type { Tuning } from '../tuning.ts'
import type { Descriptor } from '../wire/frame.ts'
import { HEADER_BYTE_LENGTH } from '../wire/frame.ts'
import { collectiveName } from './descriptor.ts'
import { isEager, messageOf, shownNumber } from './numbering.ts'
import type { Peer } from './peer.ts'
import type { MessageWatcher, ReceivedMessage, ReceiveRequest } from './slot.ts'

/** What a call asks and tells its group. */
export interface CallLinks {
  readonly rank: number
  readonly size: number
  /** A suffix that follows the names of calls in messages; empty for the world. */
  readonly name: string
  readonly tuning: Tuning
  readonly recorder: Recorder
  /** Whether all parts lie in memory that this process shares with others of its machine. */
  isShared(parts: readonly Uint8Array[]): boolean
  linkTo(peer: number): Peer
  /** The links to all peers that this rank has been in touch with. */
  links(): Iterable<Peer>
  /**
   * Tells the peers that this rank waits for which call it waits in, and has it looked at whether they are alive; a call
   * asks for it when nothing has moved for a while. What it returns ends that look.
   */
  announceCall(call: Call): (() => void) | undefined
  /** The call has made no progress for `stallMs`; it goes on. */
  /** The call stands still. Returns false if it only waits for other calls, which are under way. */
  onStall(call: Call): boolean
  /** The call has made no progress for `timeoutMs`. */
  onTimeout(call: Call): void
}

/** After how long without any progress a call is announced to the peers that it waits for, reported, and fails. */
export interface CallLimits {
  readonly announceMs: number
  readonly stallMs: number
  readonly timeoutMs: number
}

/** How a call is known. */
export interface CallIdentity {
  readonly sequence: number
  readonly descriptor: Descriptor
  /** What observers are told that it is. */
  readonly words: CallWords
}

/** A message that may stay in the sender's memory. */
export interface BorrowedMessage {
  /** The memory in which it lies, or will lie: this rank's, or the sender's. */
  readonly parts: Promise<readonly Uint8Array[]>
  /** Resolves when the whole message can be read. */
  readonly received: Promise<ReceivedMessage>
}

export class Call implements PhaseObserver, ObservedCall {
  readonly sequence: number
  readonly descriptor: Descriptor
  readonly words: CallWords
  readonly stallMs: number
  readonly timeoutMs: number
  readonly #announceMs: number
  /** Bytes handed to connections, headers included. */
  bytesSent = 0
  /**
   * Bytes that this rank has asked for through connections, headers included: all have come when the call is complete.
   */
  bytesReceived = 0
  /** Bytes that this rank reads in the memory of ranks on the same machine. */
  sharedBytes = 0
  earlyBytes = 0
  offThreadKernels = 0
  lastFrom = -1
  readonly openSpans: Span[] = []
  readonly #links: CallLinks
  readonly #span: Span
  #hasHeard = false
  #lastProgress = performance.now()
  #timer: NodeJS.Timeout
  /** The value of `#lastProgress` when the call was last announced. */
  #progressWhenAnnounced = -1
  /** Ends the watch over those that it waits for. */
  #unwatch: (() => void) | undefined
  #isReported = false
  #isOver = false

  constructor(links: CallLinks, { sequence, descriptor, words }: CallIdentity, limits: CallLimits) {
    const { announceMs, stallMs, timeoutMs } = limits
    this.#links = links
    this.sequence = sequence
    this.descriptor = descriptor
    this.words = words
    this.#announceMs = announceMs
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

  /** The sequence number as it is shown. */
  get number(): number {
    return shownNumber(this.sequence)
  }

  get elementCount(): number {
    return this.descriptor.elementCount
  }

  get segmentCount(): number {
    return this.descriptor.segmentCount
  }

  /** Posts memory for a peer's message; resolves with that peer's rank flags once it is filled. */
  receive(from: number, step: number, parts: readonly Uint8Array[], watcher?: MessageWatcher): Promise<number> {
    const request = { byteLength: totalByteLength(parts), memory: () => parts, mayBorrow: false, watcher }
    return ignoreRejection(this.#receive(from, step, request).then(({ rankFlags }) => rankFlags))
  }

  /**
   * Receives a message that is only read. Between ranks that share memory it stays with the sender, and `memory` is not
   * called. The caller calls `finish` of the received message once it has read it, wherever the message lies.
   */
  borrow(
    from: number,
    step: number,
    byteLength: number,
    memory: () => readonly Uint8Array[],
    watcher?: MessageWatcher,
  ): BorrowedMessage {
    let received: Promise<ReceivedMessage> | undefined
    const parts = new Promise<readonly Uint8Array[]>((onLocated, reject) => {
      received = this.#receive(from, step, { byteLength, memory, mayBorrow: true, onLocated, watcher })
      received.catch(reject)
    })
    return { parts: ignoreRejection(parts), received: received! }
  }

  #receive(from: number, step: number, request: ReceiveRequest): Promise<ReceivedMessage> {
    const link = this.#links.linkTo(from)
    const { byteLength } = request
    const throughConnection = link.receivedByteLength(byteLength)
    this.bytesReceived += throughConnection
    this.sharedBytes += HEADER_BYTE_LENGTH + byteLength - throughConnection
    // For a large message this rank sends a READY frame before it, or a DONE frame after it has read it.
    if (!isEager(this.sequence, byteLength)) this.bytesSent += HEADER_BYTE_LENGTH
    return ignoreRejection(link.receive(this.sequence, step, this.descriptor, request))
  }

  /**
   * Sends to a peer; resolves when the memory may change again.
   *
   * @param rankFlags - what this rank says of its input, in the header
   * @param weight - how much its input counts, in the header
   */
  send(to: number, step: number, parts: readonly Uint8Array[], rankFlags = 0, weight = 0): Promise<void> {
    const payloadByteLength = totalByteLength(parts)
    const link = this.#links.linkTo(to)
    this.bytesSent += link.sentByteLength(payloadByteLength)
    const { sequence, descriptor } = this
    const header = {
      kind: 'data',
      sequence,
      step,
      rankFlags,
      weight,
      payloadByteLength,
      credit: 0,
      descriptor,
    } as const
    return ignoreRejection(link.send(header, parts))
  }

  /**
   * A part of a message has been sent or received.
   *
   * @param from - the rank from which it has come; by default the last one, for what has been sent
   */
  noteProgress(from: number = this.lastFrom): void {
    this.#lastProgress = performance.now()
    this.lastFrom = from
  }

  /** Begins to wait anew, at the deadline, because what it waits for moves in another call. */
  waitAnew(): void {
    this.noteProgress()
    this.#timer = this.#wakeAfter(this.#idleLimitMs())
  }

  /** A first frame of this call has come from a peer. */
  onHeard(): void {
    if (this.#hasHeard) return
    this.#hasHeard = true
    this.#links.recorder.onHeard(this)
  }

  /**
   * Whether all parts lie in memory that this process shares. Ranks of this machine read such memory where it is, and
   * it is never transferred away, so other threads may use it, too.
   */
  isShared(parts: readonly Uint8Array[]): boolean {
    return this.#links.isShared(parts)
  }

  /** The peers that this call waits for. */
  awaitedPeers(): Peer[] {
    return [...this.#links.links()].filter((link) => link.isAwaited(this.sequence))
  }

  /**
   * The peers that hold this call up, as far as this rank can tell; the one that has been silent for the longest comes
   * first. A peer that this rank waits for may itself wait for another. Such a peer announces the call once it stands
   * still (`announceMs`), so it has been heard of, and a silent peer is blamed instead.
   */
  missingPeers(): Peer[] {
    const partners = new Set(this.partners())
    const linked = [...this.#links.links()].filter(({ peer }) => partners.has(peer))
    const waiting = linked.filter((link) => link.isAwaited(this.sequence))
    if (waiting.length === 0) return []
    const unheard = (links: Peer[]): Peer[] => links.filter((link) => !link.hasHeard(this.sequence))
    const silent = (links: Peer[]): Peer[] => links.filter(({ heardAt }) => heardAt <= this.#lastProgress)
    const suspects = [unheard(waiting), unheard(linked), silent(waiting), silent(linked), waiting]
    return suspects.find(({ length }) => length > 0)!.sort((a, b) => a.heardAt - b.heardAt)
  }

  awaitedRanks(): number[] {
    return this.awaitedPeers().map(({ peer }) => peer)
  }

  /** The other ranks that take part. */
  partners(): number[] {
    const message = messageOf(this.sequence, this.size)
    return message ? [message.from === this.rank ? message.to : message.from] : peersOf(this)
  }

  /** The partners from which a frame of this call has come. */
  arrivedRanks(): number[] {
    const here = new Set<number>()
    for (const link of this.#links.links()) if (link.hasHeard(this.sequence)) here.add(link.peer)
    return this.partners().filter((rank) => here.has(rank))
  }

  // ---- observation

  begin(phase: Phase): Span {
    return this.#isOver ? NO_SPAN : this.#links.recorder.begin(this, phase)
  }

  end(span: Span): void {
    if (span.call === this) this.#links.recorder.end(span)
  }

  countOffThread(count: number): void {
    this.offThreadKernels += count
  }

  /**
   * Ends the call for its timer and for observers.
   *
   * @param code - why it has failed, if it has
   */
  finish(code?: ErrorCode): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#unwatch?.()
    this.#links.recorder.endCall(this, this.#span, code)
  }

  /** Whether it has made no progress for `stallMs`. */
  get isStalled(): boolean {
    return performance.now() - this.#lastProgress >= this.stallMs
  }

  /**
   * After how long without progress the next step is due: the announcement, then the report (once), then the deadline.
   */
  #idleLimitMs(): number {
    const reportMs = this.#isReported ? this.timeoutMs : this.stallMs
    const announceMs = Math.min(this.#announceMs, this.stallMs / 2, this.timeoutMs / 2)
    return Math.min(this.#isAnnounced ? reportMs : announceMs, this.timeoutMs)
  }

  get #isAnnounced(): boolean {
    return this.#progressWhenAnnounced === this.#lastProgress
  }

  #wakeAfter(waitMs: number): NodeJS.Timeout {
    // The timer stays referenced: connections are not, and a process must not exit while it waits for a collective.
    return setTimeout(() => void this.#look(), waitMs)
  }

  async #look(): Promise<void> {
    const idleMs = (): number => performance.now() - this.#lastProgress
    // After a long synchronous computation Node runs timers before it reads data that has long arrived: let it read
    // first.
    for (let turn = 0; turn < 2 && idleMs() >= this.#idleLimitMs(); turn++) await nextTurn()
    if (this.#isOver) return
    if (idleMs() >= this.timeoutMs) return this.#links.onTimeout(this)
    if (idleMs() >= this.#idleLimitMs()) this.#onIdle()
    this.#timer = this.#wakeAfter(Math.max(1, this.#idleLimitMs() - idleMs()))
  }

  #onIdle(): void {
    if (!this.#isAnnounced) {
      this.#progressWhenAnnounced = this.#lastProgress
      // The new watch begins before the old one ends, so that what both are about goes on.
      const unwatch = this.#links.announceCall(this)
      this.#unwatch?.()
      this.#unwatch = unwatch
      return
    }
    this.#isReported = this.#links.onStall(this)
    if (!this.#isReported) this.noteProgress()
  }
}

/** `all-reduce #17`, `message #3 from rank 0 to rank 2` */
export function titleOf(operation: string, sequence: number, group: { size: number; name: string }): string {
  const message = messageOf(sequence, group.size)
  const number = message
    ? `${message.index + 1} from rank ${message.from} to rank ${message.to}`
    : shownNumber(sequence)
  return `${operation} #${number}${group.name}`
}

/** All other ranks, starting with the next higher one, so that not all ranks begin with the same peer. */
export function peersOf({ rank, size }: { rank: number; size: number }): number[] {
  return Array.from({ length: size - 1 }, (_, i) => (rank + i + 1) % size)
}

/**
 * Marks a promise's rejection as handled: its caller may look at it late or never, because the group's failure reports
 * it.
 */
export function ignoreRejection<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
