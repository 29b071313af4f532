/**
 * A launcher: whatever starts the processes of a run, and tells each by its environment which one of them it is.
 *
 * What it says is handed on as it was found. It is checked by whoever uses it, for an option or a variable that comes first
 * may stand in its place.
 */
import type { StoreAddress } from '../stores/tcp/address.ts'
import type { Environment, Variable } from '../variables.ts'

export interface Launcher {
  /** As messages call it. */
  readonly name: string
  /** What it says to the process that has this environment, or undefined if it has not started that process. */
  detect(env: Readonly<Environment>): Launch | undefined
}

export interface Launch {
  /** The number of this process, from 0. */
  readonly rank: Variable
  /** How many processes there are. Undefined: the launcher does not say. */
  readonly size: Variable | undefined
  /** Where they meet. Absent: the launcher does not say, so it can be recognised, and no more. */
  readonly store?: StoreVariable
  /** Rank and size among the processes of this machine. */
  readonly local?: { readonly rank: Variable; readonly size: Variable } | undefined
  /** Whether the launcher hosts the store itself. */
  readonly hostsStore?: boolean
  /** 16 bytes that the processes of one launch share, and those of no other. */
  readonly jobId?: Uint8Array | undefined
}

export interface StoreVariable {
  /** The variable to ask for if there is no store. */
  readonly name: string
  /** Whether that one is set. */
  readonly isSet: boolean
  /** @throws AdasumError ERR_ENVIRONMENT */
  address(): StoreAddress | undefined
}

/** What a launcher says that gives all of a place: rank, size and store. */
export type FullLaunch = Launch & { readonly size: Variable; readonly store: StoreVariable }
