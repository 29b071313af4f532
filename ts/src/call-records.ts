/** The records of calls that the public API returns: flight record entries, and metrics. */
import type { ErrorCode } from './error-codes.ts'

/** A call in a flight record; times are milliseconds since the communicator was made. */
export interface FlightEntry {
  /** `all-reduce #17` */
  readonly title: string
  /** What was called: `all-reduce`, `broadcast`, `send` and so on. */
  readonly operation: string
  /** The operator of a reduction. */
  readonly op?: string
  /** The dtype of the data, such as `f32`. */
  readonly dtype?: string
  /** How the data moved: `direct`, `single-shot`, `levels` and so on. */
  readonly schedule?: string
  /** The compression format, if the call was compressed. */
  readonly format?: string
  /** Elements of one rank's data. */
  readonly elementCount: number
  /** How many segments these are cut into. */
  readonly segmentCount: number
  /** The length of one rank's data. */
  readonly byteLength: number
  /** Bytes that the rank has handed to connections, and bytes that it has asked for, headers included. */
  readonly bytesSent: number
  /** Bytes that the rank has received through connections, headers included. */
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine instead. */
  readonly sharedBytes: number
  /** Where the call stands. */
  readonly state: 'running' | 'completed' | 'failed'
  /** Why it has failed. */
  readonly code?: ErrorCode
  /** When it was made. */
  readonly beginMs: number
  /** When it completed or failed. */
  readonly endMs?: number
  /** The rank from which the latest bytes came. */
  readonly lastFrom?: number
  /** The ranks that a running call waits for. */
  readonly waitingFor: readonly number[]
}

/**
 * A part of a call: waiting for the calls before it, exchanging inputs, computing Gram matrices and results, gathering
 * results.
 */
export type CallPhase = 'queue' | 'exchange' | 'gram' | 'combine' | 'gather'

/** Metrics of the calls of one operation and op that have ended. Bytes are those of calls that have not failed. */
export interface CallMetrics {
  /** What was called: `all-reduce`, `broadcast`, `send` and so on. */
  readonly operation: string
  /** The operator of reductions. */
  readonly op?: string
  /** How many calls have ended, failed ones included. */
  readonly calls: number
  /** How many of these calls have failed. */
  readonly failed: number
  /** Bytes sent and received through connections, headers included. */
  readonly bytesSent: number
  /** Bytes received through connections, headers included. */
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine instead. */
  readonly sharedBytes: number
  /** How many of the received bytes came before the call asked for them, and were copied. */
  readonly earlyBytes: number
  /** How many kernel calls ran on other threads. */
  readonly offThreadKernels: number
  /** Time in each phase. Phases may overlap, so they do not add up to the duration. */
  readonly phaseMs: Readonly<Record<CallPhase, number>>
  /** How long the calls took, as a histogram. */
  readonly durations: {
    /** The upper ends of the buckets, in milliseconds. */
    readonly bucketsMs: readonly number[]
    /** The number of calls in each bucket, and last the number of calls that took longer. */
    readonly counts: readonly number[]
    /** The sum of all durations, in milliseconds. */
    readonly sumMs: number
  }
}

/** What a communicator has done since it was made. */
export interface CommunicatorMetrics {
  /** `world`, or for a group made by split: `<its parent>/<number of the split>.<color>`. */
  readonly group: string
  /** This rank, in the group. */
  readonly rank: number
  /** This rank, in the world. */
  readonly worldRank: number
  /**
   * What computes on this rank: the native addon or WebAssembly, which give the same bits, and the instruction set in
   * use (`avx2`, `simd128`, ...).
   */
  readonly binding: {
    /** The native addon or WebAssembly. */
    readonly kind: 'native' | 'wasm'
    /** The instruction set. */
    readonly isa: string
  }
  /** The calls that have ended, by operation and op. */
  readonly calls: readonly CallMetrics[]
  /** How many calls have thrown, by code. */
  readonly errors: Readonly<Partial<Record<ErrorCode, number>>>
  /** How many calls made no progress for 10 s; one report may cover several. */
  readonly stalls: number
  /** Connections to peers that are open now. */
  readonly openConnections: number
}
