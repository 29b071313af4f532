/** A store: where the ranks of a world meet and learn each other's addresses. What it is made of is its own affair. */
import type { Tuning } from '../../tuning.ts'
import type { Refusals } from '../refusals.ts'

export interface Store {
  /** For messages: where it is. */
  readonly where: string
  /**
   * Comes to the store, opening it if that is this rank's part, and waits until all ranks have come.
   *
   * @throws AdasumError as `rendezvous` does; what `announce` throws; signal.reason
   */
  join(options: JoinOptions): Promise<Roster>
  /** Gives up what this process holds of it. */
  release(): Promise<void>
}

export interface JoinOptions {
  /** Opens this rank's own port, given this machine's end of the connection to the store, and says where it is. */
  readonly announce: (localHost: string) => Promise<PeerAddress>
  readonly signal: AbortSignal
  /** Kept up to date: what to say while it lasts, or if it ends. */
  readonly progress: JoinProgress
}

/** Where a rank listens, as its peers are told. */
export interface PeerAddress {
  readonly host: string
  readonly port: number
  /** If it shares memory with ranks of its machine. */
  readonly sharesMemory?: true | undefined
  /** If these can dial a Unix socket of it: the key, 32 hexadecimal digits. */
  readonly unixKey?: string | undefined
}

/** What everyone learns once all have come. */
export interface Roster {
  /** 32 hexadecimal digits. */
  readonly runId: string
  /** By rank. */
  readonly peers: readonly PeerAddress[]
  /** By rank: the number of its machine. Machines are numbered from 0 in the order of their lowest ranks. */
  readonly machines: readonly number[]
  /** Rank 0's. */
  readonly tuning: Tuning
}

/** What those who have come learn while others have not. */
export interface Absence {
  readonly missing: readonly number[]
  /** Those of the missing who had come, and left again. */
  readonly left: readonly number[]
  /** Since the round began. */
  readonly refusals: Refusals
}

/** How far joining came. */
export interface JoinProgress {
  /** What the store has last said. */
  waiting: Absence | undefined
  /** Whether it is there to say more. */
  isAtStore: boolean
  lastError: unknown
}

export function startOfJoining(): JoinProgress {
  return { waiting: undefined, isAtStore: false, lastError: undefined }
}
