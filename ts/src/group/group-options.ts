/** The options of a group. */
import type { Monitor } from '../observe/monitor.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import type { FailureLimits } from '../timing/failure-limits.ts'
import type { Pipe } from '../transport/transport.ts'
import type { Tuning } from '../tuning.ts'

export const COLLECTIVE_TIMEOUT_MS = 300_000
export const STALL_REPORT_MS = 10_000

export interface GroupOptions {
  readonly rank: number
  readonly size: number
  /** The default `timeoutMs` of its calls. */
  readonly timeoutMs?: number
  /** Time without any progress of a call after which a warning names the ranks that it waits for. */
  readonly stallMs?: number
  /** How soon the group finds out that a rank is gone. */
  readonly failureLimits?: FailureLimits
  /** A suffix that follows the names of its calls in messages; empty for the world. */
  readonly name?: string
  /** The tuning, which must be the same on all ranks. */
  readonly tuning?: Tuning
  /** How the group opens connections; a group of one needs none. */
  readonly dialler?: Dialler
  /** The memory that this rank shares with the peers for which `dialler.sharesMemory` is true. */
  readonly sharedMemory?: SharedMemory | undefined
  /** The observer of its calls. */
  readonly monitor?: Monitor
}

/** How a group reaches its peers. */
export interface Dialler {
  /** Where a peer listens, `host:port`. */
  addressOf(peer: number): string
  /** Opens the connection on which this rank reads what the peer writes. Rejects with an AdasumError. */
  dial(peer: number, signal: AbortSignal): Promise<Pipe>
  /** Whether this rank and a peer may read each other's memory. */
  sharesMemory(peer: number): boolean
  /** A peer has said that it leaves the group. */
  onDeparture?(peer: number, lastSequence: number): void
  /**
   * A clause about connections that were turned away, for messages about ranks that do not come; empty if none were.
   */
  refusals(): string
  /** Bytes have come from a peer. */
  hear?(peer: number): void
  /**
   * A call waits for these peers, and nothing moves: whether they are alive is to be looked at. What it returns ends
   * that.
   */
  watch?(peers: readonly number[]): (() => void) | undefined
}
