/** What a process says of its place in the world, and of its connections there. */
import type { Tuning } from './tuning.ts'
import { CALL_OPTIONS, type OptionNames, type StallReport } from './types.ts'

/** Encryption by certificates. */
export interface TlsByCertificates {
  /** This rank's own, and the authority that has signed those of all ranks. */
  readonly certificates: Certificates
}

/** What mutual TLS takes; each in PEM. */
export interface Certificates {
  /** The private key of this rank. */
  readonly key: string
  /** Its certificate, and those between it and the authority. */
  readonly cert: string
  /** The authority that has signed the certificates of all ranks. */
  readonly ca: string
}

/** This process's place in the world, and settings of its connections. Absent options come from the environment. */
export interface ConnectOptions {
  /** This rank, from 0 to `size - 1`. */
  rank?: number
  /** The number of ranks, from 1 to 1,024. */
  size?: number
  /** Address at which the ranks meet, `host:port`. */
  store?: string
  /** Shared secret that every connection must prove; needed beyond loopback. */
  secret?: string
  /**
   * How connections over TCP are encrypted. Default: by TLS 1.3 with the secret as key, except between addresses of the
   * loopback interface; or that of ADASUM_TLS. `psk`: so everywhere. `off`: nowhere. Certificates: TLS 1.3 at both ends of
   * which there must be one that `ca` has signed; all three in PEM. The same on all ranks.
   */
  tls?: 'psk' | 'off' | TlsByCertificates
  /**
   * Whether connections over TCP carry checksums, so that a byte that changes on the way is ERR_MISMATCH and no other
   * gradient. Default: where they go beyond the loopback interface and `tls` is `off`, since encryption finds changes,
   * too; or as ADASUM_CHECKSUMS says, 0 or 1. A connection has them if either end wants them.
   */
  checksums?: boolean
  /** Address this rank listens on and announces. Default: the local address of its connection to the store. */
  host?: string
  /**
   * Address at which rank 0 opens the store, where `store` is not an address of its own machine (but, say, one that is
   * forwarded there); `0.0.0.0` or `::` for all, which needs a secret. Without effect on other ranks.
   */
  listen?: string
  /**
   * Which machine this rank is on, by a name of your own: ranks that give the same one share it. Default: found out.
   */
  machine?: string
  /**
   * `none`: variables that launchers set (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT among them) mean nothing.
   * Default: that of ADASUM_LAUNCHER, or `auto`.
   */
  launcher?: 'auto' | 'none'
  /** Time in milliseconds within which all ranks must have come. Default 60,000. */
  timeoutMs?: number
  /**
   * After how many milliseconds without a sign of life a rank counts as lost, from 100 up; that of rank 0 counts, for
   * all ranks. Default: that of ADASUM_FAILURE_TIMEOUT_MS, or 3,000.
   */
  failureTimeoutMs?: number
  /** Aborting it ends the attempt to connect with ERR_ABORTED. */
  signal?: AbortSignal
  /** Constants of the choice between schedules and the like; those of rank 0 count, for all ranks. */
  tuning?: Partial<Tuning>
  /**
   * Whether ranks of one machine read each other's large messages in shared memory (Linux): false, true, or the most
   * bytes that this rank reserves for it. Default true.
   */
  sharedMemory?: boolean | number
  /** File for a timeline of this rank's calls; `%r` stands for the rank. Default: that of ADASUM_TIMELINE, or none. */
  timeline?: string
  /**
   * File to which a failing group's last calls are added; `%r` stands for the rank. Default: that of
   * ADASUM_FLIGHT_RECORD, or none.
   */
  flightRecord?: string
  /**
   * Called when a call has made no progress for 10 s, once for all that wait for the same ranks; and while connecting
   * after 5 s, then at growing distances. Only a report, beside the warning.
   */
  onStall?: (report: StallReport) => void
}

export const CONNECT_OPTIONS: OptionNames<ConnectOptions> = {
  rank: true,
  size: true,
  store: true,
  secret: true,
  tls: true,
  checksums: true,
  host: true,
  listen: true,
  machine: true,
  launcher: true,
  ...CALL_OPTIONS,
  failureTimeoutMs: true,
  tuning: true,
  sharedMemory: true,
  timeline: true,
  flightRecord: true,
  onStall: true,
}
