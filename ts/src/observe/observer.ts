/**
 * What calls tell of themselves: when they and their phases begin and end. Collectives and kernels speak to a `PhaseObserver`,
 * their call; the group’s recorder passes it on to all who watch. Spans are used again and again: watching leaves hardly more
 * behind than not watching.
 */
import type { CallPhase as Phase } from '../call-records.ts'
import type { ErrorCode } from '../errors.ts'

/**
 * `queue`: until another rank is heard of in the call; `exchange`: messages on the way to those who compute; `gram`: products
 * of the inputs, and their exchange among ranks that share a segment (segments that fit into one kernel call are combined
 * there, too); `combine`: the result from inputs and coefficients; `gather`: the result on its way to all.
 */
export const PHASES: readonly Phase[] = ['queue', 'exchange', 'gram', 'combine', 'gather']
export type { Phase }

/** What the codes of a call's descriptor mean. */
export interface CallWords {
  /** `all-reduce` */
  readonly operation: string
  /** `adasum`; empty where nothing is computed. */
  readonly op: string
  /** `f32`; empty where there are no elements. */
  readonly dtype: string
  readonly elementByteLength: number
  /** `single-shot`; empty where there is no choice. */
  readonly schedule: string
  /** `int8`: how numbers travel; empty if as they are. */
  readonly format: string
  /** The same for calls that are counted together: operation and op. */
  readonly key: string
}

/** A call as those who watch see it; only until it has ended. */
export interface ObservedCall {
  readonly sequence: number
  readonly words: CallWords
  readonly elementCount: number
  readonly segmentCount: number
  /** Headers included. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine. */
  readonly sharedBytes: number
  /** Of those received, what came before it was asked for. */
  readonly earlyBytes: number
  readonly offThreadKernels: number
  /** The rank from which something came last; -1 if nothing has. */
  readonly lastFrom: number
  /** What has begun and not ended; the recorder keeps it. */
  readonly openSpans: Span[]
  waitingRanks(): number[]
}

/** A call, or a phase of one. */
export interface Span {
  /** Undefined: it is over, and may be used for another one. */
  call: ObservedCall | undefined
  phase: Phase | 'call'
  /** As performance.now() has it. */
  beginMs: number
  endMs: number
  /** Why the call has failed. */
  code: ErrorCode | undefined
}

/** Hears of every call and phase of a group. It keeps neither span nor call. */
export interface Watcher {
  begun(span: Span): void
  ended(span: Span): void
}

/** What a collective and its kernels know of those who watch. */
export interface PhaseObserver {
  begin(phase: Phase): Span
  /** Nothing happens if the call has ended meanwhile. */
  end(span: Span): void
  /** So many kernel calls go to other threads. */
  wentOffThread(count: number): void
}
