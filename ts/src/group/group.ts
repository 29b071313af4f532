/**
 * A group: ranks that run collectives together, and the state they share when something goes wrong.
 *
 * A failed group is finished. The first failure that a rank sees (a peer lost, a mismatch, an abort, a deadline) ends
 * all its calls, is told to every peer, and every later call throws it too. To go on, one connects again.
 */
import type { CommunicatorMetrics, FlightEntry } from '../call-records.ts'
import { AdasumError, type ErrorCode, reading } from '../errors.ts'
import { Monitor } from '../observe/monitor.ts'
import type { Recorder } from '../observe/recorder.ts'
import { checkTimeout } from '../tensor/check.ts'
import { ScratchPool } from '../tensor/scratch.ts'
import type { Pipe } from '../transport/transport.ts'
import { DEFAULT_TUNING, type Tuning } from '../tuning.ts'
import type { CallOptions } from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { abortError } from './abort.ts'
import { checkSignal } from './call-options.ts'
import { Call, type CallLinks, titleOf } from './call.ts'
import { collectiveName, mismatch } from './descriptor.ts'
import * as failure from './failure.ts'
import { COLLECTIVE_TIMEOUT_MS, type Dialler, type GroupOptions, STALL_REPORT_MS } from './group-options.ts'
import { abortFrame, dismiss, goodbyeFrame, type Farewell } from './last-words.ts'
import type { Link } from './link.ts'
import type { LinkMemory } from './lender.ts'
import type { LinkOwner } from './link-owner.ts'
import { Links } from './links.ts'
import type { NamedPeer, Peer } from './peer.ts'
import { Roster } from './roster.ts'
import { Signals } from './signals.ts'
import { Staging } from './staging.ts'
import { Stalls } from './stalls.ts'

export class Group implements LinkOwner, CallLinks {
  readonly rank: number
  readonly size: number
  readonly scratch: ScratchPool
  /** Default for calls. */
  readonly timeoutMs: number
  readonly stallMs: number
  /** What follows the names of its calls; empty for the world. */
  readonly name: string
  readonly tuning: Tuning
  readonly recorder: Recorder
  readonly #monitor: Monitor
  readonly #dialler: Dialler | undefined
  readonly #memory: LinkMemory | undefined
  readonly #links: Links
  readonly #roster: Roster
  readonly #signals = new Signals()
  readonly #stalls = new Stalls({
    calls: () => this.#roster.calls(),
    isUnderWay: (call) => this.#roster.get(call.sequence) === call,
    report: (call, laterCallCount) => this.#reportStall(call, laterCallCount),
  })
  readonly #failure: failure.Failure
  #closing: Promise<Farewell | undefined> | undefined
  #whenIdle: (() => void) | undefined

  constructor(options: GroupOptions) {
    const { rank, size, timeoutMs = COLLECTIVE_TIMEOUT_MS, stallMs = STALL_REPORT_MS, name = '' } = options
    this.rank = rank
    this.size = size
    this.timeoutMs = timeoutMs
    this.stallMs = stallMs
    this.name = name
    this.tuning = options.tuning ?? DEFAULT_TUNING
    this.#dialler = options.dialler
    const memory = options.sharedMemory
    this.scratch = new ScratchPool(memory && ((byteLength) => memory.allocate(byteLength)))
    this.#memory = memory && { memory, staging: new Staging(memory, this.scratch) }
    this.#monitor = options.monitor ?? new Monitor('world')
    this.recorder = this.#monitor.recorder
    this.#roster = new Roster(size)
    this.#failure = new failure.Failure(rank)
    this.#links = new Links(this, options.dialler)
  }

  /**
   * Takes the connection that a peer has dialled, on which this rank writes; dials back if it has not dialled before. Who comes
   * when all is over is told so: the promise is there then, and settles when that has left.
   */
  accepted(peer: number, pipe: Pipe): Promise<void> | undefined {
    const { lastWords } = this
    if (!lastWords) this.#links.accepted(peer, pipe)
    // While this rank says goodbye, what waits for the peer comes first.
    else if (!this.#isLeaving || !this.#links.attach(peer, pipe)) return dismiss(pipe, lastWords)
    return undefined
  }

  get #isLeaving(): boolean {
    return !this.#failure.cause && this.#closing !== undefined && this.#roster.isEmpty
  }

  /** What a peer that comes when all is over is told; undefined before. */
  get lastWords(): Uint8Array | undefined {
    if (this.#failure.cause) return abortFrame(this.#failure.cause)
    return this.#isLeaving ? goodbyeFrame(this.#roster.lastBegun) : undefined
  }

  /** The sequence number of the last collective up to which all are complete. */
  get lastCompleted(): number {
    return this.#roster.lastCompleted
  }

  /**
   * Runs a collective. The sequence number is taken, and `body` started, before this returns. If the body fails, the
   * group does, unless with an AgreedFailure; the promise settles only when no connection uses the call's memory.
   */
  run<T>(descriptor: Descriptor, options: CallOptions, body: (call: Call) => Promise<T>): Promise<T> {
    return this.#run(descriptor, options, () => this.#roster.takeCollective(), body)
  }

  /** The same for a message between two ranks, of which this is one; they match by order. */
  runMessage<T>(
    pair: { from: number; to: number },
    descriptor: Descriptor,
    options: CallOptions,
    body: (call: Call) => Promise<T>,
  ): Promise<T> {
    return this.#run(descriptor, options, () => this.#roster.takeMessage(pair), body)
  }

  async #run<T>(
    descriptor: Descriptor,
    options: CallOptions,
    takeSequence: () => number,
    body: (call: Call) => Promise<T>,
  ): Promise<T> {
    const { call, unwatch } = this.#begin(descriptor, options, takeSequence)
    try {
      for (const link of this.#links.all()) link.begun(call.sequence, descriptor)
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
      await this.#links.closed()
      throw this.#failure.of(call, this.lastCompleted)
    } finally {
      unwatch()
    }
  }

  #begin(
    descriptor: Descriptor,
    { signal, timeoutMs: given = this.timeoutMs }: CallOptions,
    takeSequence: () => number,
  ): { call: Call; unwatch: () => void } {
    const timeoutMs = checkTimeout(given)
    checkSignal(signal)
    if (reading('signal', () => signal?.aborted)) throw abortError(collectiveName(descriptor), signal)
    if (this.#failure.cause) throw this.#failure.later(descriptor, this.lastCompleted)
    if (this.#closing) throw new AdasumError('ERR_CLOSED', 'The communicator is closed. Connect again to go on.')
    let call: Call | undefined
    // Before the call has a number: what a signal of the caller's own throws is this call's affair alone.
    const unwatch = reading('signal', () => this.#signals.watch(signal, () => call && this.#abort(call, signal)))
    try {
      call = new Call(this, takeSequence(), descriptor, { stallMs: this.stallMs, timeoutMs })
    } catch (error) {
      unwatch()
      throw error
    }
    this.#roster.begun(call)
    return { call, unwatch }
  }

  /** @param code - of the failure on which all ranks agree, if there is one */
  #complete(call: Call, code?: ErrorCode): void {
    this.#end(call, code)
    for (const link of this.#links.all())
      if (!link.finished(call.sequence)) this.#fail(failure.sentTooMuch(link, call), call)
    this.#roster.completed(call)
  }

  #end(call: Call, code?: ErrorCode): void {
    call.ended(code)
    this.#roster.ended(call)
    if (this.#roster.isEmpty) this.#whenIdle?.()
  }

  metrics(): Omit<CommunicatorMetrics, 'worldRank' | 'binding'> {
    const { group, recorder } = this.#monitor
    const openConnections = this.#links.openPipeCount * this.tuning.connectionsPerPeer
    return { group, rank: this.rank, ...recorder.counters.snapshot(), openConnections }
  }

  /** Its last calls, the oldest first. */
  flightRecord(): FlightEntry[] {
    return this.recorder.flight.entries((operation, sequence) => titleOf(operation, sequence, this))
  }

  /**
   * Waits for this rank's calls, says goodbye to all peers that it has been in touch with and lets go of the connections. Peers
   * go on among themselves as long as they can do without this rank. Undefined if the group has failed.
   */
  close(): Promise<Farewell | undefined> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<Farewell | undefined> {
    if (!this.#roster.isEmpty) await new Promise<void>((resolve) => (this.#whenIdle = resolve))
    const lastSequence = this.#roster.lastBegun
    const { cause } = this.#failure
    let farewell: Farewell | undefined
    if (cause) await this.#links.closed()
    else farewell = { lastSequence, told: await this.#links.goodbye(lastSequence) }
    // Their memory goes with them. Whoever comes later is told how the group has ended, and gets no link.
    this.#links.clear()
    this.scratch.clear()
    return farewell
  }

  // ---- failure

  /** Ends the group, unless it has ended already. */
  #fail(reason: unknown, call?: Call): void {
    if (this.#failure.cause) return
    // Before the links forget what they wait for.
    const flightRecord = this.flightRecord()
    const cause = this.#failure.record(reason, call, flightRecord)
    this.#links.abort(cause)
    // Only from where it was seen first: all others pass the word on to those they know.
    if (cause.rank === this.rank) this.#links.tellStrangers(abortFrame(cause))
    this.#monitor.failed(cause, flightRecord)
  }

  #abort(call: Call, signal: AbortSignal | undefined): void {
    if (this.#roster.get(call.sequence) === call) this.#fail(abortError(call.title, signal, this.rank), call)
  }

  timedOut(call: Call): void {
    this.#fail(failure.timedOut(call, this.#refusals()), call)
  }

  announced(call: Call): void {
    // By one collective a rank shows all others that it is there: which one has fallen silent, they can tell then.
    const isShown = call.sequence === this.#roster.oldestSequence()
    const listeners = isShown ? this.#links.all() : call.waitingFor()
    for (const link of listeners) if (link.lastSequence === undefined) link.announce(call.sequence, call.descriptor)
  }

  stalled(call: Call): void {
    this.recorder.counters.stalled()
    this.#stalls.add(call)
  }

  #reportStall(call: Call, laterCallCount: number): void {
    const report = failure.stallReport(call, this.#monitor.group, laterCallCount)
    this.#monitor.stalled(failure.stallWarning(call, this.#refusals(), laterCallCount), report)
  }

  #refusals(): string {
    return this.#dialler?.refusals() ?? ''
  }

  // ---- what links tell (LinkOwner)

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
    if (this.#roster.isToCome(sequence)) return undefined
    return this.#roster.get(sequence)?.descriptor ?? 'finished'
  }

  mismatchError(peer: NamedPeer, sequence: number, mine: Descriptor, theirs: Descriptor): AdasumError {
    const me = { rank: this.rank, descriptor: mine }
    return mismatch(titleOf(collectiveName(mine), sequence, this), sequence, me, {
      rank: peer.peer,
      descriptor: theirs,
      address: peer.address,
    })
  }

  oldestSequence(): number {
    return this.#roster.oldestSequence()
  }

  progressed(sequence: number, from?: number): void {
    this.#roster.get(sequence)?.progressed(from)
  }

  heard(sequence: number): void {
    this.#roster.get(sequence)?.heard()
  }

  cameEarly(sequence: number, byteLength: number): void {
    const call = this.#roster.get(sequence)
    if (call) call.earlyBytes += byteLength
  }

  aborted(cause: AdasumError): void {
    this.#fail(cause, this.#roster.oldest())
  }

  broken(peer: NamedPeer, error: Error): void {
    if (!(error instanceof AdasumError)) return this.lost(peer, error.message, error)
    this.#fail(error.code === 'ERR_ARGUMENT' ? error : failure.peerFailed(peer, error), this.#roster.oldest())
  }

  lost(peer: NamedPeer, reason: string, cause?: Error): void {
    const call = this.#roster.oldest()
    this.#fail(failure.peerLost(peer, call, reason, cause), call)
  }

  departed(peer: Peer, lastSequence: number): void {
    this.#dialler?.hasLeft?.(peer.peer, lastSequence)
    for (const call of this.#roster.calls())
      if (peer.misses(call.sequence)) this.#fail(failure.peerDeparted(peer, call, lastSequence), call)
  }

  unreachable(peer: Peer, error: AdasumError): void {
    const call = [...this.#roster.calls()].find(({ sequence }) => peer.isWaiting(sequence))
    if (call) this.#fail(failure.peerFailed(peer, error), call)
  }
}
