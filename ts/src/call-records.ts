/** The records of calls that the public API returns: flight record entries, and metrics. */
import type { ErrorCode } from './error-codes.ts'

/** A call in a flight record; times are milliseconds since the communicator was made. */
export interface FlightEntry {
  /** `all-reduce #17` */
  readonly title: string
  readonly operation: string
  readonly op?: string
  readonly dtype?: string
  readonly schedule?: string
  /** The compression format, if the call was compressed. */
  readonly format?: string
  readonly elementCount: number
  readonly segmentCount: number
  /** The length of one rank's data. */
  readonly byteLength: number
  /** Bytes that the rank has handed to connections, and bytes that it has asked for, headers included. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine instead. */
  readonly sharedBytes: number
  readonly state: 'running' | 'completed' | 'failed'
  readonly code?: ErrorCode
  readonly beginMs: number
  readonly endMs?: number
  /** The rank from which the latest bytes came. */
  readonly lastFrom?: number
  /** The ranks that a running call waits for. */
  readonly waitingFor: readonly number[]
}

export type CallPhase = 'queue' | 'exchange' | 'gram' | 'combine' | 'gather'

/** Metrics of the calls of one operation and op that have ended. Bytes are those of calls that have not failed. */
export interface CallMetrics {
  readonly operation: string
  readonly op?: string
  readonly calls: number
  /** How many of these calls have failed. */
  readonly failed: number
  /** Bytes sent and received through connections, headers included. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine instead. */
  readonly sharedBytes: number
  /** How many of the received bytes came before the call asked for them, and were copied. */
  readonly earlyBytes: number
  /** How many kernel calls ran on other threads. */
  readonly offThreadKernels: number
  /** Time in each phase. Phases may overlap, so they do not add up to the duration. */
  readonly phaseMs: Readonly<Record<CallPhase, number>>
  readonly durations: {
    /** The upper ends of the buckets, in milliseconds. */
    readonly bucketsMs: readonly number[]
    /** The number of calls in each bucket, and last the number of calls that took longer. */
    readonly counts: readonly number[]
    readonly sumMs: number
  }
}

/** What a communicator has done since it was made. */
export interface CommunicatorMetrics {
  /** `world`, or for a group made by split: `<its parent>/<number of the split>.<color>`. */
  readonly group: string
  readonly rank: number
  readonly worldRank: number
  /**
   * What computes on this rank: the native addon or WebAssembly, which give the same bits, and the instruction set in
   * use (`avx2`, `simd128`, ...).
   */
  readonly binding: { readonly kind: 'native' | 'wasm'; readonly isa: string }
  readonly calls: readonly CallMetrics[]
  /** How many calls have thrown, by code. */
  readonly errors: Readonly<Partial<Record<ErrorCode, number>>>
  /** How many calls made no progress for 10 s; one report may cover several. */
  readonly stalls: number
  readonly openConnections: number
}
