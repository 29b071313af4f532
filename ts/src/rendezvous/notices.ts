/**
 * The notices of a rank that waits for others: which ranks are missing, or that the store does not answer. The first
 * comes after 5 s, and each further one when the rank has waited twice as long.
 *
 * Only one of the ranks that a launcher has started on a machine prints notices: the lowest of those that have come, as
 * the store tells. So at least one of all ranks prints them.
 */
import { AdasumError, systemCause } from '../errors.ts'
import type { StallReport } from '../types.ts'
import { systemReason } from '../transport/names.ts'
import type { Place } from './environment.ts'
import { refusalClause } from './refusals.ts'
import type { Absence, JoinProgress } from './stores/store.ts'

export const FIRST_NOTICE_MS = 5000
/** How many ranks a sentence names; it counts the others. */
const NAMED_RANKS = 8

export interface Notice {
  readonly message: string
  readonly report: StallReport
  /** Whether this rank is the one that prints notices for its machine. */
  readonly isSpeaker: boolean
}

/** Calls back at growing distances, until it is stopped. */
export class Notices {
  readonly #beganAt: number = performance.now()
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  /** @param say - called with the time waited and the time left */
  constructor(timeoutMs: number, say: (waitedMs: number, leftMs: number) => void, firstMs: number = FIRST_NOTICE_MS) {
    const schedule = (afterMs: number): void => {
      if (afterMs >= timeoutMs) return
      const begin = (): void => {
        const waitedMs = performance.now() - this.#beganAt
        // The process may have been held up until the time was over.
        if (waitedMs < timeoutMs) say(waitedMs, timeoutMs - waitedMs)
        if (!this.#isStopped) schedule(2 * Math.max(afterMs, waitedMs))
      }
      this.#timer = setTimeout(begin, this.#beganAt + afterMs - performance.now()).unref()
    }
    schedule(firstMs)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }
}

/**
 * The notice at this moment.
 *
 * @param where - the store's address
 */
export function noticeOf(
  place: Place,
  where: string,
  progress: JoinProgress,
  waitedMs: number,
  leftMs: number,
): Notice {
  const waiting = progress.isAtStore ? progress.waiting : undefined
  const what = waiting === undefined ? silenceOf(place, progress, where) : absenceOf(waiting, place.size, where)
  const missing = waiting?.missing ?? others(place)
  const report: StallReport = {
    ...{ title: 'connect', operation: 'connect', sequence: 0, group: 'world', rank: place.rank },
    what,
    idleMs: waitedMs,
    laterCallCount: 0,
    store: where,
    waitingFor: waiting === undefined ? [] : missing.map((rank) => ({ rank, address: '' })),
    arrived: others(place).filter((rank) => !missing.includes(rank)),
    notHeard: missing,
  }
  const message = `${what}, ${Math.round(leftMs / 1000)} s left${waiting === undefined ? '' : refusalClause(waiting.refusals)}`
  return { message, report, isSpeaker: isSpeaker(place, waiting) }
}

function others({ rank, size }: Place): number[] {
  return Array.from({ length: size }, (_, other) => other).filter((other) => other !== rank)
}

/** Why the rank has no news from the store. If it cannot listen yet, that is because a name does not resolve. */
function silenceOf({ rank, host }: Place, { lastError }: JoinProgress, where: string): string {
  const why = lastError === undefined ? '' : ` (${systemReason(systemCause(lastError))})`
  const { code } = lastError instanceof AdasumError ? lastError : { code: undefined }
  if (code === 'ERR_ENVIRONMENT') return `rank ${rank} cannot listen on ${host} yet${why}`
  const what = code === 'ERR_STORE' ? `the store cannot listen at ${where}` : `the store at ${where} does not answer`
  return `${what} yet${why}`
}

function absenceOf({ missing, left }: Absence, size: number, where: string): string {
  const gone = missing.filter((rank) => left.includes(rank))
  const clause = gone.length === 0 ? '' : ` (${ranksIn(gone)} had come, and left again)`
  return `waiting for ${ranksIn(missing)} of ${size} at ${where}${clause}`
}

/** `ranks 2 and 3`; if there are many, the first ones and the number of the others. */
export function ranksIn(ranks: readonly number[]): string {
  const named = ranks.slice(0, NAMED_RANKS)
  const rest = ranks.length - named.length
  const last = rest > 0 ? `${rest} more` : String(named.pop())
  return `${ranks.length === 1 ? 'rank' : 'ranks'} ${named.length > 0 ? `${named.join(', ')} and ` : ''}${last}`
}

function isSpeaker({ rank, localRank }: Place, waiting: Absence | undefined): boolean {
  if (localRank === undefined || localRank === 0) return true
  const lower = Array.from({ length: Math.min(localRank, rank) }, (_, i) => rank - 1 - i)
  return waiting !== undefined && lower.every((other) => waiting.missing.includes(other))
}
