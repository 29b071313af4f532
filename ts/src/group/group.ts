/**
 * A group: ranks that run collectives together, and the state they share when something goes wrong.
 *
 * A group that has failed cannot be used again. The first failure that a rank sees (a lost peer, a mismatch, an abort,
 * a deadline) ends all calls of that rank; the rank tells every peer, and every later call throws the same failure. To
 * go on, the program connects again.
 */
import type { CommunicatorMetrics, FlightEntry } from '../call-records.ts'
import { AdasumError, type ErrorCode, reading } from '../errors.ts'
import { Monitor } from '../observe/monitor.ts'
import type { Recorder } from '../observe/recorder.ts'
import { checkTimeout } from '../tensor/check.ts'
import { ScratchPool } from '../tensor/scratch.ts'
import type { Pipe } from '../transport/transport.ts'
import { DEFAULT_FAILURE_LIMITS, type FailureLimits } from '../timing/failure-limits.ts'
import { DEFAULT_TUNING, type Tuning } from '../tuning.ts'
import type { CallOptions } from '../types.ts'
import { type Descriptor, NO_DESCRIPTOR } from '../wire/frame.ts'
import { abortError } from './abort.ts'
import { checkSignal } from './call-options.ts'
import { Call, type CallLinks, titleOf } from './call.ts'
import { COLLECTIVES, collectiveName, mismatchError, shadowWordsOf, wordsOf } from './descriptor.ts'
import * as failure from './failure.ts'
import { COLLECTIVE_TIMEOUT_MS, type Dialler, type GroupOptions, STALL_REPORT_MS } from './group-options.ts'
import { Joins, type ShadowOf } from './joins.ts'
import { abortFrame, dismiss, goodbyeFrame, type Farewell } from './last-words.ts'
import type { Link } from './link.ts'
import type { LinkMemory } from './lender.ts'
import type { LinkOwner } from './link-owner.ts'
import { Links } from './links.ts'
import { isJoin } from './numbering.ts'
import type { NamedPeer, Peer } from './peer.ts'
import { CallTable } from './call-table.ts'
import { Signals } from './signals.ts'
import { Staging } from './staging.ts'
import { Stalls } from './stalls.ts'

const JOIN: Descriptor = { ...NO_DESCRIPTOR, collective: COLLECTIVES.join }

/** Where a call comes from, and with which number. */
interface Origin {
  readonly takeSequence: () => number
  /** Whether it is made for this rank, which has joined. */
  readonly isShadow: boolean
}

export class Group implements LinkOwner, CallLinks {
  readonly rank: number
  readonly size: number
  readonly scratch: ScratchPool
  /** The default `timeoutMs` of its calls. */
  readonly timeoutMs: number
  readonly stallMs: number
  /** How soon it finds out that a rank is gone. */
  readonly failureLimits: FailureLimits
  /** A suffix that follows the names of its calls in messages; empty for the world. */
  readonly name: string
  readonly tuning: Tuning
  readonly recorder: Recorder
  readonly joins: Joins
  readonly #monitor: Monitor
  readonly #dialler: Dialler | undefined
  readonly #memory: LinkMemory | undefined
  readonly #links: Links
  readonly #calls: CallTable
  readonly #signals = new Signals()
  readonly #stalls = new Stalls({
    calls: () => [...this.#calls.calls()].filter((call) => this.joins.isWaiting(call)),
    isUnderWay: (call) => this.#calls.get(call.sequence) === call && this.joins.isWaiting(call),
    report: (call, laterCallCount) => this.#reportStall(call, laterCallCount),
  })
  readonly #failure: failure.Failure
  #closing: Promise<Farewell | undefined> | undefined
  #onIdle: (() => void) | undefined

  constructor(options: GroupOptions) {
    const { rank, size, timeoutMs = COLLECTIVE_TIMEOUT_MS, stallMs = STALL_REPORT_MS, name = '' } = options
    this.rank = rank
    this.size = size
    this.timeoutMs = timeoutMs
    this.stallMs = stallMs
    this.failureLimits = options.failureLimits ?? DEFAULT_FAILURE_LIMITS
    this.name = name
    this.tuning = options.tuning ?? DEFAULT_TUNING
    this.#dialler = options.dialler
    const memory = options.sharedMemory
    this.scratch = new ScratchPool(memory && ((byteLength) => memory.allocate(byteLength)))
    this.#memory = memory && { memory, staging: new Staging(memory, this.scratch) }
    this.#monitor = options.monitor ?? new Monitor('world')
    this.recorder = this.#monitor.recorder
    this.#calls = new CallTable(size)
    const shadow = { takeSequence: () => this.#calls.takeCollective(), isShadow: true }
    this.joins = new Joins(this, this.#calls, (...given) => this.#run(shadow, ...given))
    this.#failure = new failure.Failure(rank)
    this.#links = new Links(this, options.dialler)
  }

  /**
   * Takes the connection that a peer has dialled, on which this rank writes, and dials back if it has not dialled that
   * peer before. After the group's end it sends its last words over the connection instead; only then it returns a
   * promise, which settles when they have left.
   */
  accept(peer: number, pipe: Pipe): Promise<void> | undefined {
    const { lastWords } = this
    if (!lastWords) this.#links.accept(peer, pipe)
    // While this rank says goodbye, frames that wait for this peer go first.
    else if (!this.#isLeaving || !this.#links.attach(peer, pipe)) return dismiss(pipe, lastWords)
    return undefined
  }

  get #isLeaving(): boolean {
    return !this.#failure.cause && this.#closing !== undefined && this.#calls.isEmpty
  }

  /** The frame that a peer gets which connects after the group's end; undefined before the end. */
  get lastWords(): Uint8Array | undefined {
    if (this.#failure.cause) return abortFrame(this.#failure.cause)
    return this.#isLeaving ? goodbyeFrame(this.#calls.lastBegun) : undefined
  }

  /** The sequence number up to which all collectives are complete. */
  get lastCompleted(): number {
    return this.#calls.lastCompleted
  }

  /**
   * Runs a collective. It takes the sequence number, and starts `body`, before it returns. If the body fails, so does
   * the group, except with an AgreedFailure. The promise settles only when no connection uses the call's memory any
   * more.
   */
  run<T>(descriptor: Descriptor, options: CallOptions, body: (call: Call) => Promise<T>): Promise<T> {
    return this.#run({ takeSequence: () => this.#calls.takeCollective(), isShadow: false }, descriptor, options, body)
  }

  /**
   * Runs one end of a message between this rank and another. Sends and receives of a pair of ranks are matched in their
   * order.
   */
  runMessage<T>(
    pair: { from: number; to: number },
    descriptor: Descriptor,
    options: CallOptions,
    body: (call: Call) => Promise<T>,
  ): Promise<T> {
    const takeSequence = (): number => this.#calls.takeMessage(pair)
    return this.#run({ takeSequence, isShadow: false }, descriptor, options, body)
  }

  /**
   * This rank makes no more calls until all ranks have joined. Meanwhile it takes part in those of the others, as
   * `shadowOf` says, which knows what to do in calls that this rank has made itself. Resolves with the last rank that
   * has joined.
   */
  join(options: CallOptions, shadowOf: ShadowOf): Promise<number> {
    const origin = { takeSequence: () => this.#calls.takeJoin(), isShadow: false }
    return this.#run(origin, JOIN, options, (call) => this.joins.join(call, shadowOf))
  }

  async #run<T>(
    origin: Origin,
    descriptor: Descriptor,
    options: CallOptions,
    body: (call: Call) => Promise<T>,
  ): Promise<T> {
    const { call, unwatch } = this.#begin(origin, descriptor, options)
    try {
      for (const link of this.#links.all()) link.beginCall(call.sequence, descriptor)
      if (this.joins.isAnyJoined && !origin.isShadow) this.joins.announce(call)
      const result = await body(call)
      this.#complete(call)
      return result
    } catch (error) {
      if (error instanceof failure.AgreedFailure && !this.#failure.cause) {
        this.#complete(call, error.error.code)
        throw error.error
      }
      this.#fail(error, call)
      this.#end(call, this.#failure.cause!.code)
      await this.#links.whenClosed()
      throw this.#failure.errorFor(call, this.lastCompleted)
    } finally {
      unwatch()
    }
  }

  #begin(
    { takeSequence, isShadow }: Origin,
    descriptor: Descriptor,
    { signal, timeoutMs: given = this.timeoutMs }: CallOptions,
  ): { call: Call; unwatch: () => void } {
    const timeoutMs = checkTimeout(given)
    checkSignal(signal)
    if (reading('signal', () => signal?.aborted)) throw abortError(collectiveName(descriptor), signal)
    if (this.#failure.cause) throw this.#failure.errorForLaterCall(descriptor, this.lastCompleted)
    if (!isShadow) this.#checkOpen(descriptor)
    let call: Call | undefined
    // This comes before the call takes a number: if the caller's own signal object throws, only this call fails.
    const unwatch = reading('signal', () => this.#signals.watch(signal, () => call && this.#abort(call, signal)))
    try {
      const words = isShadow ? shadowWordsOf(descriptor) : wordsOf(descriptor)
      const identity = { sequence: takeSequence(), descriptor, words }
      call = new Call(this, identity, { announceMs: this.failureLimits.announceMs, stallMs: this.stallMs, timeoutMs })
    } catch (error) {
      unwatch()
      throw error
    }
    this.#calls.add(call)
    return { call, unwatch }
  }

  /** Throws if this rank's user may not make calls. */
  #checkOpen(descriptor: Descriptor): void {
    if (this.#closing) throw new AdasumError('ERR_CLOSED', 'The communicator is closed. Connect again to go on.')
    if (this.joins.isPending) throw failure.joinedError(descriptor)
  }

  /** @param code - the code of the failure on which all ranks agree, if there is one */
  #complete(call: Call, code?: ErrorCode): void {
    this.#end(call, code)
    for (const link of this.#links.all())
      if (!link.finishCall(call.sequence)) this.#fail(failure.sentTooMuchError(link, call), call)
    this.#calls.noteCompleted(call)
  }

  #end(call: Call, code?: ErrorCode): void {
    call.finish(code)
    this.#calls.remove(call)
    this.joins.onCallEnded()
    if (this.#calls.isEmpty) this.#onIdle?.()
  }

  metrics(): Omit<CommunicatorMetrics, 'worldRank' | 'binding'> {
    const { group, recorder } = this.#monitor
    const openConnections = this.#links.openPipeCount * this.tuning.connectionsPerPeer
    return { group, rank: this.rank, ...recorder.counters.snapshot(), openConnections }
  }

  /** The group's last calls, the oldest first. */
  flightRecord(): FlightEntry[] {
    return this.recorder.flight.entries((operation, sequence) => titleOf(operation, sequence, this))
  }

  /**
   * Waits for this rank's calls, says goodbye to all peers that it has been in touch with and closes the connections.
   * The peers go on among themselves as long as they can do without this rank. Resolves with undefined if the group has
   * failed.
   */
  close(): Promise<Farewell | undefined> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<Farewell | undefined> {
    if (!this.#calls.isEmpty) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    const lastSequence = this.#calls.lastBegun
    const { cause } = this.#failure
    let farewell: Farewell | undefined
    if (cause) await this.#links.whenClosed()
    else farewell = { lastSequence, informedRanks: await this.#links.goodbye(lastSequence) }
    // This frees their memory. A peer that connects later gets the last words, and no link.
    this.#links.clear()
    this.scratch.clear()
    return farewell
  }

  // ---- failure

  /** Ends the group, unless it has ended already. */
  #fail(reason: unknown, call?: Call): void {
    if (this.#failure.cause) return
    // The record is taken before the links forget what they wait for.
    const flightRecord = this.flightRecord()
    const cause = this.#failure.record(reason, call, flightRecord)
    this.joins.fail(cause)
    this.#links.abort(cause)
    // Only the rank that has seen the failure first tells these; all others tell the peers that they have links to.
    if (cause.rank === this.rank) this.#links.tellUnlinkedPeers(cause)
    this.#monitor.reportFailure(cause, flightRecord)
  }

  #abort(call: Call, signal: AbortSignal | undefined): void {
    if (this.#calls.get(call.sequence) === call) this.#fail(abortError(call.title, signal, this.rank), call)
  }

  /** A rank, which may be this one, counts as lost. `seenBy` is the rank that has seen it, if the group has that. */
  lose(rank: number, seenBy: number | undefined): void {
    const call = this.#calls.oldest()
    const address = this.#dialler?.addressOf(rank) ?? ''
    this.#fail(failure.silenceError(this, { peer: rank, address }, call, seenBy), call)
  }

  onTimeout(call: Call): void {
    // A call that a join waits for has a deadline of its own.
    if (!this.joins.isWaiting(call)) return call.waitAnew()
    this.#fail(failure.timeoutError(call, this.#refusals()), call)
  }

  announceCall(call: Call): (() => void) | undefined {
    // All peers have been told of a join already.
    if (!isJoin(call.sequence)) this.#links.announce(call, call.sequence === this.#calls.oldestSequence())
    return this.#dialler?.watch?.(call.awaitedRanks())
  }

  onStall(call: Call): boolean {
    if (!this.joins.isWaiting(call)) return false
    this.recorder.counters.countStall()
    this.#stalls.add(call)
    return true
  }

  #reportStall(call: Call, laterCallCount: number): void {
    const report = failure.stallReport(call, this.#monitor.group, laterCallCount)
    this.#monitor.reportStall(failure.stallWarning(call, this.#refusals(), laterCallCount), report)
  }

  #refusals(): string {
    return this.#dialler?.refusals() ?? ''
  }

  // ---- what links ask and tell (LinkOwner)

  linkTo(peer: number): Link {
    return this.#links.to(peer)
  }

  links(): Iterable<Link> {
    return this.#links.all()
  }

  memoryWith(peer: number): LinkMemory | undefined {
    return this.#dialler?.sharesMemory(peer) ? this.#memory : undefined
  }

  isShared(parts: readonly Uint8Array[]): boolean {
    return this.#memory !== undefined && parts.every((part) => this.#memory!.memory.holds(part))
  }

  stateOf(sequence: number): Descriptor | 'finished' | undefined {
    if (this.#calls.isYetToBegin(sequence)) return undefined
    return this.#calls.get(sequence)?.descriptor ?? 'finished'
  }

  mismatchError(peer: NamedPeer, sequence: number, mine: Descriptor, theirs: Descriptor): AdasumError {
    const sideOf = (rank: number, descriptor: Descriptor, address?: string) => ({
      ...{ rank, descriptor, isShadow: this.joins.isShadow(rank, sequence) },
      ...(address !== undefined && { address }),
    })
    const title = titleOf(collectiveName(mine), sequence, this)
    return mismatchError(title, sequence, sideOf(this.rank, mine), sideOf(peer.peer, theirs, peer.address))
  }

  oldestSequence(): number {
    return this.#calls.oldestSequence()
  }

  onProgress(sequence: number, from?: number): void {
    this.#calls.get(sequence)?.noteProgress(from)
  }

  hear(peer: number): void {
    this.#dialler?.hear?.(peer)
  }

  onHeard(sequence: number, peer: Peer): void {
    const call = this.#calls.get(sequence)
    if (call) call.onHeard()
    else this.joins.onHeard(sequence, peer)
  }

  onEarlyBytes(sequence: number, byteLength: number): void {
    const call = this.#calls.get(sequence)
    if (call) call.earlyBytes += byteLength
  }

  onAbort(cause: AdasumError): void {
    this.#fail(cause, this.#calls.oldest())
  }

  onLinkError(peer: NamedPeer, error: Error): void {
    if (!(error instanceof AdasumError)) return this.onPeerLost(peer, error.message, error)
    this.#fail(error.code === 'ERR_ARGUMENT' ? error : failure.peerFailedError(peer, error), this.#calls.oldest())
  }

  onPeerLost(peer: NamedPeer, reason: string, cause?: Error): void {
    const call = this.#calls.oldest()
    this.#fail(failure.peerLostError(peer, call, reason, cause), call)
  }

  onPeerDeparture(peer: Peer, lastSequence: number): void {
    this.#dialler?.onDeparture?.(peer.peer, lastSequence)
    for (const call of this.#calls.calls())
      if (peer.isRequired(call.sequence)) this.#fail(failure.peerDepartedError(peer, call, lastSequence), call)
  }

  onPeerUnreachable(peer: Peer, error: AdasumError): void {
    const call = [...this.#calls.calls()].find(({ sequence }) => peer.isAwaited(sequence))
    if (call) this.#fail(failure.peerFailedError(peer, error), call)
  }
}
