/**
 * Reports calls that stand still. A missing rank holds up every call that it takes part in, so one report covers all of
 * them: it is about the oldest call, and counts the later ones that wait for the same ranks only. When other ranks are
 * missing another report follows, but after a pause: where ranks come and go, each change must not bring a report.
 */
import type { Call } from './call.ts'

/** The least time between two reports of a group. */
const BETWEEN_REPORTS_MS = 1000
/** How long stalled calls are gathered before a report: calls that stall together are found one by one, in no order. */
const GATHERING_MS = 50

export interface StallOwner {
  /** The calls under way, in the order in which they have begun. */
  calls(): Iterable<Call>
  isUnderWay(call: Call): boolean
  /** @param laterCallCount - how many calls that have begun later wait for the same ranks, or some of them */
  report(call: Call, laterCallCount: number): void
}

export class Stalls {
  readonly #owner: StallOwner
  /** The ranks that were missing in a call when a report last covered it. */
  readonly #reportedRanks = new WeakMap<Call, Ranks>()
  /** The calls that reports were about, until they end. */
  #reported: Call[] = []
  #nextReportMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor(owner: StallOwner) {
    this.#owner = owner
  }

  /** A call has made no progress for its `stallMs`. */
  add(call: Call): void {
    if (this.#timer || this.#isReported(call)) return
    const waitMs = Math.max(GATHERING_MS, this.#nextReportMs - performance.now())
    this.#timer = setTimeout(() => this.#look(), waitMs).unref()
  }

  #look(): void {
    this.#timer = undefined
    for (const call of this.#owner.calls()) {
      if (!call.isStalled || this.#isReported(call)) continue
      if (performance.now() >= this.#nextReportMs) this.#report(call)
      else return this.add(call)
    }
  }

  #isReported(call: Call): boolean {
    const missing = missingIn(call)
    const isPart = (other: Call): boolean => isSubset(missing, this.#reportedRanks.get(other) ?? NOBODY)
    if (isPart(call)) return true
    this.#reported = this.#reported.filter((reported) => this.#owner.isUnderWay(reported))
    const reported = this.#reported.find(isPart)
    if (reported) this.#reportedRanks.set(call, this.#reportedRanks.get(reported)!)
    return reported !== undefined
  }

  #report(call: Call): void {
    const missing = missingIn(call)
    let laterCallCount = -1
    for (const other of this.#owner.calls()) {
      if (other !== call && (laterCallCount < 0 || !isSubset(missingIn(other), missing))) continue
      laterCallCount++
      this.#reportedRanks.set(other, missing)
    }
    this.#reported.push(call)
    this.#nextReportMs = performance.now() + BETWEEN_REPORTS_MS
    this.#owner.report(call, laterCallCount)
  }
}

type Ranks = ReadonlySet<number>

const NOBODY: Ranks = new Set()

function missingIn(call: Call): Ranks {
  return new Set(call.missingPeers().map(({ peer }) => peer))
}

function isSubset(ranks: Ranks, of: Ranks): boolean {
  return [...ranks].every((rank) => of.has(rank))
}
