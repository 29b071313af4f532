/**
 * A launcher starts the processes of a job, and tells each by environment variables which one of them it is.
 *
 * `detect` returns the variables unchecked. The caller checks those that it uses, since an option or another variable
 * may take precedence.
 */
import type { StoreAddress } from '../stores/tcp/address.ts'
import type { Environment, Variable } from '../variables.ts'

export interface Launcher {
  /** The launcher's name in messages. */
  readonly name: string
  /** What the launcher says to the process with this environment; undefined if it has not started that process. */
  detect(env: Readonly<Environment>): Launch | undefined
}

/** What a launcher says of a process that it has started. */
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

/** A launch that gives a complete place: rank, size and store. */
export type FullLaunch = Launch & { readonly size: Variable; readonly store: StoreVariable }
