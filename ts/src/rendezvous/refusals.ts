/** Connections that were turned away. One of them may have been the rank that the others wait for. */
import { reasonOf } from '../errors.ts'
import { printable } from '../printable.ts'

export interface Refusals {
  readonly count: number
  /** Why the last connection was refused, with its address; empty if there was none. */
  readonly last: string
}

/** How many characters of a reason are kept. */
export const LONGEST_REASON = 1000

export const NO_REFUSALS: Refusals = { count: 0, last: '' }

export function withRefusal({ count }: Refusals, error: unknown): Refusals {
  return { count: count + 1, last: printable(reasonOf(error), LONGEST_REASON) }
}

/** A clause for the end of a message; empty if nothing was refused. */
export function refusalClause({ count, last }: Refusals): string {
  if (count === 0) return ''
  return count === 1 ? `; 1 connection was refused: ${last}` : `; ${count} connections were refused, the last: ${last}`
}
