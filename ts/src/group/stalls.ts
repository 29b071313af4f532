/**
 * Calls that stand still. A rank that is missing holds up every call behind it, and one report says so for all of them: of the
 * oldest call, with the number of those that have begun after it and wait for nobody else. When others are
 * missing there is another report, but not at once: where ranks come and go, reports must not keep pace with them.
 */
import type { Call } from './call.ts'

/** Time between two reports of a group. */
const BETWEEN_REPORTS_MS = 1000
/** Calls that begin to wait together are found to stand still one by one, in no order: the report is of the oldest. */
const GATHERING_MS = 50

export interface StallOwner {
  /** What is under way, in the order in which it has begun. */
  calls(): Iterable<Call>
  isUnderWay(call: Call): boolean
  /** @param laterCallCount - how many calls that have begun later wait for the same ranks, or some of them */
  report(call: Call, laterCallCount: number): void
}

export class Stalls {
  readonly #owner: StallOwner
  /** Which ranks were missing in a call when it was last part of a report. */
  readonly #told = new WeakMap<Call, Ranks>()
  /** The calls of the reports, until they end. */
  #reported: Call[] = []
  #nextReportMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(owner: StallOwner) {
    this.#owner = owner
  }

  /** A call has made no progress for its `stallMs`. */
  add(call: Call): void {
    if (this.#timer || this.#isTold(call)) return
    const waitMs = Math.max(GATHERING_MS, this.#nextReportMs - performance.now())
    this.#timer = setTimeout(() => this.#look(), waitMs).unref()
  }

  #look(): void {
    this.#timer = undefined
    for (const call of this.#owner.calls()) {
      if (!call.standsStill || this.#isTold(call)) continue
      if (performance.now() >= this.#nextReportMs) this.#report(call)
      else return this.add(call)
    }
  }

  #isTold(call: Call): boolean {
    const missing = missingIn(call)
    const isPart = (other: Call): boolean => isSubset(missing, this.#told.get(other) ?? NOBODY)
    if (isPart(call)) return true
    this.#reported = this.#reported.filter((reported) => this.#owner.isUnderWay(reported))
    const reported = this.#reported.find(isPart)
    if (reported) this.#told.set(call, this.#told.get(reported)!)
    return reported !== undefined
  }

  #report(call: Call): void {
    const missing = missingIn(call)
    let laterCallCount = -1
    for (const other of this.#owner.calls()) {
      if (other !== call && (laterCallCount < 0 || !isSubset(missingIn(other), missing))) continue
      laterCallCount++
      this.#told.set(other, missing)
    }
    this.#reported.push(call)
    this.#nextReportMs = performance.now() + BETWEEN_REPORTS_MS
    this.#owner.report(call, laterCallCount)
  }
}

type Ranks = ReadonlySet<number>

const NOBODY: Ranks = new Set()

function missingIn(call: Call): Ranks {
  return new Set(call.missing().map(({ peer }) => peer))
}

function isSubset(ranks: Ranks, of: Ranks): boolean {
  return [...ranks].every((rank) => of.has(rank))
}
