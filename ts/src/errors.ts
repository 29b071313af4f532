/**
 * Typed errors with stable codes.
 *
 * `code` is API: it never changes meaning between versions, and docs/errors.md has one entry for each. A message says
 * what happened, the two numbers that disagree, and what to do.
 */

import type { FlightEntry } from './call-records.ts'
import type { ErrorCode } from './error-codes.ts'
import { printable } from './printable.ts'

export { ERROR_CODES, type ErrorCode } from './error-codes.ts'

/** What is known about the origin of a failure; absent fields are unknown or do not apply. */
export interface ErrorDetails {
  /** Rank on which the failure was first seen. */
  rank?: number | undefined
  /**
   * The rank to blame, as far as `rank` could tell: lost, missing, of another opinion, or the first whose input is not
   * finite.
   */
  peerRank?: number | undefined
  /** Address of that peer, `host:port`. */
  peerAddress?: string | undefined
  /** Collective that was running, for instance `all-reduce`. */
  operation?: string | undefined
  /** Number of that collective in its group, counted from 1. */
  sequence?: number | undefined
  /** Number of the last collective that this rank completed; 0 if none. */
  lastCompleted?: number | undefined
  /** The last calls of the group that has failed, the oldest first. */
  flightRecord?: readonly FlightEntry[] | undefined
  /** The error behind this one. */
  cause?: unknown
}

// Symbol.for, so that an error of one copy of the package is recognised by another.
const BRAND = Symbol.for('adasum.AdasumError')

/** Every error that this package throws by itself. Its `code` never changes its meaning; see docs/errors.md. */
export class AdasumError extends Error {
  /** What kind of failure it is. */
  readonly code: ErrorCode
  // Declared only: an initialised field would exist, and be printed, as undefined when nothing is known.
  /** Rank on which the failure was first seen. */
  declare readonly rank?: number
  /** The rank to blame, as far as `rank` could tell. */
  declare readonly peerRank?: number
  /** Address of that peer, `host:port`. */
  declare readonly peerAddress?: string
  /** The collective that was running, for instance `all-reduce`. */
  declare readonly operation?: string
  /** Number of that collective in its group, counted from 1. */
  declare readonly sequence?: number
  /** Number of the last collective that this rank completed; 0 if none. */
  declare readonly lastCompleted?: number
  /** The last calls of the group that has failed, the oldest first. */
  declare readonly flightRecord?: readonly FlightEntry[]

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { cause, flightRecord, ...origin } = details
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    for (const [key, value] of Object.entries(origin)) if (value !== undefined) Object.assign(this, { [key]: value })
    // Not enumerable, so that it is not printed with the error: it is long.
    if (flightRecord) Object.defineProperty(this, 'flightRecord', { value: flightRecord })
    Object.defineProperty(this, BRAND, { value: true })
    // The stack's first line was written when Error ran, with the plain class name: V8 renders it on first read.
    Object.defineProperty(this, 'name', { value: `AdasumError [${code}]`, configurable: true, writable: true })
    void this.stack
    this.name = 'AdasumError'
  }

  override toString(): string {
    return `AdasumError [${this.code}]: ${this.message}`
  }

  /** True for errors of other copies of this package as well. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    try {
      return typeof value === 'object' && value !== null && BRAND in value
    } catch {
      // A proxy may throw.
      return false
    }
  }
}

/** A wrong value as a message shows it: always short. */
export function inspect(value: unknown): string {
  // Objects may have no string form, or a very long one.
  if ((typeof value === 'object' && value !== null) || typeof value === 'function') return typeof value
  return printable(String(value), 100)
}

/** The message of an error, which may be of another realm, no error at all, or an object that cannot be read. */
export function reasonOf(error: unknown): string {
  try {
    const { message } = (error ?? {}) as { message?: unknown }
    return typeof message === 'string' ? message : inspect(error)
  } catch {
    return 'an error that cannot be read'
  }
}

/**
 * Reads what a caller gave. Getters and proxies run the caller's own code, which may throw anything.
 *
 * @param what - is read, for the message
 * @throws AdasumError ERR_ARGUMENT for what that code throws
 */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof AdasumError) throw error
    const reason = printable(reasonOf(error), 300)
    const message = `${what} cannot be read: ${reason}. Pass plain values.`
    throw new AdasumError('ERR_ARGUMENT', message, { cause: error })
  }
}

/** An error as the system would report it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(`${message} (${code})`), { code })
}

/** A system error's code, such as ECONNREFUSED, or undefined. */
export function systemCode(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' ? code : undefined
}

/** The system's error behind one of ours; any other error as it is. */
export function systemCause(error: unknown): unknown {
  return error instanceof AdasumError && error.cause !== undefined ? error.cause : error
}

/**
 * What connect() throws once its caller's signal has aborted it.
 *
 * @param reason - the signal's
 */
export function connectingAborted(reason: unknown): AdasumError {
  return new AdasumError('ERR_ABORTED', 'connecting was aborted by its caller', { cause: reason })
}
