/**
 * What calls report of themselves: when they and their phases begin and end. Collectives and kernels report to a
 * `PhaseObserver`, which is their call; the group's recorder passes it on to all watchers. Spans are used again and
 * again, so that watching makes hardly any garbage.
 */
import type { CallPhase as Phase } from '../call-records.ts'
import type { ErrorCode } from '../errors.ts'

/**
 * `queue`: until another rank is heard of in the call; `exchange`: messages on the way to those who compute; `gram`:
 * products of the inputs, and their exchange among ranks that share a segment (segments that fit into one kernel call
 * are combined there, too); `combine`: the result from inputs and coefficients; `gather`: the result on its way to all.
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

/** A call as watchers see it. They must not use it after it has ended. */
export interface ObservedCall {
  readonly sequence: number
  /** The sequence number as it is shown. */
  readonly number: number
  readonly words: CallWords
  readonly elementCount: number
  readonly segmentCount: number
  /** Headers included. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine. */
  readonly sharedBytes: number
  /** How many of the received bytes came before this rank asked for them. */
  readonly earlyBytes: number
  readonly offThreadKernels: number
  /** The rank from which something came last; -1 if nothing has. */
  readonly lastFrom: number
  /** The spans that have begun and not ended; the recorder maintains the list. */
  readonly openSpans: Span[]
  awaitedRanks(): number[]
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

/** Is told of every call and phase of a group. It must keep neither span nor call. */
export interface Watcher {
  onBegin(span: Span): void
  onEnd(span: Span): void
}

/** What a collective and its kernels report to. */
export interface PhaseObserver {
  begin(phase: Phase): Span
  /** Nothing happens if the call has ended meanwhile. */
  end(span: Span): void
  /** Counts kernel calls that run on other threads. */
  countOffThread(count: number): void
}
