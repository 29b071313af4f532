/** What is kept of calls and handed out: the flight record, and the metrics. */
import type { ErrorCode } from './error-codes.ts'

/** A call in a flight record; times are milliseconds since the communicator was made. */
export interface FlightEntry {
  /** `all-reduce #17` */
  readonly title: string
  readonly operation: string
  readonly op?: string
  readonly dtype?: string
  readonly schedule?: string
  /** Of compression. */
  readonly format?: string
  readonly elementCount: number
  readonly segmentCount: number
  /** Of one rank's data. */
  readonly byteLength: number
  /** Handed to connections until now, and asked of them, headers included. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine instead. */
  readonly sharedBytes: number
  readonly state: 'running' | 'completed' | 'failed'
  readonly code?: ErrorCode
  readonly beginMs: number
  readonly endMs?: number
  /** The rank from which something has come last. */
  readonly lastFrom?: number
  /** Whom a call waits for that is running. */
  readonly waitingFor: readonly number[]
}

export type CallPhase = 'queue' | 'exchange' | 'gram' | 'combine' | 'gather'

/** Calls of one operation and op that have ended. Bytes are those of calls that have not failed. */
export interface CallMetrics {
  readonly operation: string
  readonly op?: string
  readonly calls: number
  /** Of these. */
  readonly failed: number
  /** Handed to connections, and brought by them, headers included. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Read in the memory of ranks on the same machine instead. */
  readonly sharedBytes: number
  /** Of those received, what came before it was asked for, and was copied. */
  readonly earlyBytes: number
  /** Kernel calls on other threads. */
  readonly offThreadKernels: number
  /** Phases may overlap: they do not add up to the duration. */
  readonly phaseMs: Readonly<Record<CallPhase, number>>
  readonly durations: {
    /** Upper ends. */
    readonly bucketsMs: readonly number[]
    /** Calls in each bucket, and at the end those that lasted longer. */
    readonly counts: readonly number[]
    readonly sumMs: number
  }
}

/** What a communicator has done since it was made. */
export interface CommunicatorMetrics {
  /** `world`, or for groups made by split what they were made of. */
  readonly group: string
  readonly rank: number
  readonly worldRank: number
  /**
   * What computes on this rank: the native addon or WebAssembly, which give the same bits, and the instruction set in use
   * (`avx2`, `simd128`, ...).
   */
  readonly binding: { readonly kind: 'native' | 'wasm'; readonly isa: string }
  readonly calls: readonly CallMetrics[]
  /** How many calls have thrown, by code. */
  readonly errors: Readonly<Partial<Record<ErrorCode, number>>>
  /** Calls that stood still for 10 s; one report may be of many. */
  readonly stalls: number
  readonly openConnections: number
}
