/** A store: where the ranks of a world meet and learn each other's addresses. */
import type { Tuning } from '../../tuning.ts'
import type { Refusals } from '../refusals.ts'

export interface Store {
  /** The store's address, for messages. */
  readonly where: string
  /**
   * Joins the store, after opening it if that is this rank's part, and waits until all ranks have come.
   *
   * @throws AdasumError as `rendezvous` does; what `announce` throws; signal.reason
   */
  join(options: JoinOptions): Promise<Roster>
  /** Closes the store if this process hosts it, unless another communicator uses it. */
  release(): Promise<void>
}

export interface JoinOptions {
  /** Opens this rank's own port and returns its address. It gets the local address of the connection to the store. */
  readonly announce: (localHost: string) => Promise<PeerAddress>
  readonly signal: AbortSignal
  /** Kept up to date by the store, for notices and for the error if joining fails. */
  readonly progress: JoinProgress
}

/** Where a rank listens, as its peers are told. */
export interface PeerAddress {
  readonly host: string
  readonly port: number
  /** True if the rank shares memory with ranks of its machine. */
  readonly sharesMemory?: true | undefined
  /** The key of the rank's Unix socket, if it has one for ranks of its machine: 32 hexadecimal digits. */
  readonly unixKey?: string | undefined
  /** Where the rank's heartbeat listens, at the same host; undefined if it has none. */
  readonly heartbeatPort?: number | undefined
}

/** What all ranks learn once all have come. */
export interface Roster {
  /** 32 hexadecimal digits. */
  readonly runId: string
  /** By rank. */
  readonly peers: readonly PeerAddress[]
  /** By rank: the number of its machine. Machines are numbered from 0 in the order of their lowest ranks. */
  readonly machines: readonly number[]
  /** Rank 0's tuning. */
  readonly tuning: Tuning
  /** Rank 0's. */
  readonly failureTimeoutMs: number
}

/** What the ranks that have come learn while others are missing. */
export interface Absence {
  readonly missing: readonly number[]
  /** Those of the missing ranks that had come, and left again. */
  readonly left: readonly number[]
  /** Refused connections since the round began. */
  readonly refusals: Refusals
}

/** How far joining came. */
export interface JoinProgress {
  /** The store's latest news of missing ranks. */
  waiting: Absence | undefined
  /** Whether this rank is connected to the store, so that the news are up to date. */
  isAtStore: boolean
  lastError: unknown
}

export function startOfJoining(): JoinProgress {
  return { waiting: undefined, isAtStore: false, lastError: undefined }
}
