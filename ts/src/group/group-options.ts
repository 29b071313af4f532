/** What a group is made with. */
import type { Monitor } from '../observe/monitor.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import type { Pipe } from '../transport/transport.ts'
import type { Tuning } from '../tuning.ts'

export const COLLECTIVE_TIMEOUT_MS = 300_000
export const STALL_REPORT_MS = 10_000

export interface GroupOptions {
  readonly rank: number
  readonly size: number
  /** Default for calls. */
  readonly timeoutMs?: number
  /** Time without any progress of a call after which a warning names the ranks that it waits for. */
  readonly stallMs?: number
  /** What follows the names of its calls in messages. */
  readonly name?: string
  /** The same for all ranks. */
  readonly tuning?: Tuning
  /** How the group opens connections; a group of one needs none. */
  readonly dialler?: Dialler
  /** What this rank shares with those peers that `dialler` says. */
  readonly sharedMemory?: SharedMemory | undefined
  /** Who watches it. */
  readonly monitor?: Monitor
}

export interface Dialler {
  /** Where a peer listens, `host:port`. */
  addressOf(peer: number): string
  /** Opens the connection on which this rank reads what the peer writes. Rejects with an AdasumError. */
  dial(peer: number, signal: AbortSignal): Promise<Pipe>
  /** Whether this rank and a peer may read each other's memory. */
  sharesMemory(peer: number): boolean
  /** A peer has said that it leaves the group. */
  hasLeft?(peer: number, lastSequence: number): void
  /** Connections that were turned away: a clause for messages about ranks that do not come. */
  refusals(): string
}
