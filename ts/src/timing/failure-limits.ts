/**
 * How soon a peer that is gone is found, stated once: all other limits of detection derive from `failureTimeoutMs`. At
 * its default they are what they would be if each had been chosen by itself; a shorter one shortens them all. A longer
 * one lengthens those that could blame a rank that lives, and leaves alone those that only ask again.
 */

/** After how long without a sign of life a rank counts as lost. */
export const DEFAULT_FAILURE_TIMEOUT_MS = 3000
/** Below this, the pauses of an ordinary system would pass for death. */
export const LEAST_FAILURE_TIMEOUT_MS = 100

export interface FailureLimits {
  readonly failureTimeoutMs: number
  /** How often a rank gives a sign of life. */
  readonly beatMs: number
  /** If a thread wakes this much later than it wanted to, it has not been running, and knows nothing of the others. */
  readonly gapMs: number
  /** After how long without any progress a call tells those that it waits for what it is. */
  readonly announceMs: number
  /** How long an address may be silent when it is dialled; it is dialled twice. */
  readonly answerMs: number
  /** How long a dialler waits for the hello of a rank that may be computing, before it dials anew. */
  readonly helloMs: number
  /** After how long the system probes an idle connection; it gives up ten probes, a second apart, later. */
  readonly keepAliveMs: number
  /** How long a rank whose place another process claims may take to answer the store. */
  readonly signOfLifeMs: number
}

export function failureLimits(failureTimeoutMs: number): FailureLimits {
  return {
    failureTimeoutMs,
    beatMs: failureTimeoutMs / 6,
    gapMs: failureTimeoutMs / 4,
    announceMs: Math.min(1000, failureTimeoutMs / 3),
    answerMs: Math.min(10_000, failureTimeoutMs / 2),
    helloMs: Math.min(15_000, failureTimeoutMs * 5),
    keepAliveMs: Math.min(10_000, Math.max(1000, failureTimeoutMs)),
    signOfLifeMs: Math.min(2000, (failureTimeoutMs * 2) / 3),
  }
}

export const DEFAULT_FAILURE_LIMITS: FailureLimits = failureLimits(DEFAULT_FAILURE_TIMEOUT_MS)
