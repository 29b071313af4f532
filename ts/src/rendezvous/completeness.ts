/**
 * Rank, size and store are given together or not at all; a world of one needs no store. None of them is a world of one,
 * unless a launcher that is only recognised says that this process is one of several: then its processes would become as many
 * worlds of one rank without a word.
 */
import { emitWarning } from '#platform'
import { AdasumError } from '../errors.ts'
import type { NamedLaunch } from './launchers/known.ts'
import type { Setting } from './variables.ts'

type Part = 'rank' | 'size' | 'store'

/**
 * @param names - the variables to ask for
 * @param launches - of launchers that do not say where their processes meet
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT
 */
export function requireComplete(
  place: Readonly<Record<Part, Setting<unknown> | undefined>>,
  names: Record<Part, string>,
  launches: readonly NamedLaunch[],
): void {
  const all = ['rank', 'size', 'store'] as const
  const given = all.flatMap((name) => place[name] ?? [])
  const absent = all.filter((name) => place[name] === undefined)
  const [first] = absent
  if (first === undefined || (first === 'store' && place.size?.value === 1)) return
  const launch = decisiveLaunch(launches)
  if (launch !== undefined && isOneOfSeveral(launch)) throw launched(launch, given, absent, names)
  if (given.length > 0) throw missing(given, first, names[first])
  if (launch !== undefined) warnOfLaunch(launch)
}

/**
 * The launch by which this process is one of several, or may be: it does not say how many, and this is number 0. Undefined if
 * there is none, or one that says that this process is the only one.
 */
export function decisiveLaunch(launches: readonly NamedLaunch[]): NamedLaunch | undefined {
  const ofSeveral = launches.find(isOneOfSeveral)
  if (ofSeveral !== undefined) return ofSeveral
  return launches.every(({ size }) => size === undefined) ? launches[0] : undefined
}

/** Whether there are more processes: as the launcher says, or because somebody must have the numbers below this one's. */
function isOneOfSeveral({ rank, size }: NamedLaunch): boolean {
  return (size === undefined ? Number(rank.text) + 1 : Number(size.text)) > 1
}

function missing(given: Setting<unknown>[], option: Part, variable: string): AdasumError {
  const there = listed(given)
  // Whoever gives options only has not half-set an environment.
  if (given.every((setting) => setting.code === 'ERR_ARGUMENT')) {
    const message = `${there} given, but option "${option}" is missing: give it, or set ${variable}`
    return new AdasumError('ERR_ARGUMENT', message)
  }
  const message = `${there} set, but ${variable} is missing: set it, or unset the rest for a world of one`
  return new AdasumError('ERR_ENVIRONMENT', message)
}

/** `RANK is`, `option "rank" and ADASUM_SIZE are` */
function listed(given: Setting<unknown>[]): string {
  return `${given.map(({ origin }) => origin).join(' and ')} ${given.length > 1 ? 'are' : 'is'}`
}

const NO_LAUNCHER = "ADASUM_LAUNCHER=none or connect({ launcher: 'none' })"

function launched(
  launch: NamedLaunch,
  given: Setting<unknown>[],
  absent: readonly Part[],
  names: Record<Part, string>,
): AdasumError {
  const values = {
    rank: `${names.rank}=$${launch.rank.name}`,
    size: `${names.size}=${launch.size === undefined ? '<how many there are>' : `$${launch.size.name}`}`,
    store: names.store === 'MASTER_ADDR' ? 'MASTER_ADDR and MASTER_PORT' : `${names.store}=<host of rank 0>:<port>`,
  }
  const found = given.length > 0 ? `of their places only ${listed(given)} set` : 'each would be a world of one rank'
  const wanted = absent.map((name) => values[name]).join(', ')
  const message = `${describe(launch)}, but ${found}. Set ${wanted} in every process; if each is to be a world of its own, ${NO_LAUNCHER}`
  return new AdasumError('ERR_ENVIRONMENT', message)
}

/** For a sentence: what the launcher says of this process. */
function describe({ launcher, rank, size }: NamedLaunch): string {
  const self = `number ${Number(rank.text)} (${rank.name})`
  if (size === undefined) return `${launcher} has started this process as ${self}, and does not say of how many`
  return `${launcher} has started ${Number(size.text)} processes (${size.name}), this one as ${self}`
}

let hasWarned = false

/** Number 0 may be the only one; but if it is not, it is also the only one that gets no error. */
function warnOfLaunch(launch: NamedLaunch): void {
  if (hasWarned) return
  hasWarned = true
  const message = `${describe(launch)}: this is a world of one rank. If there are more processes, set ADASUM_RANK, ADASUM_SIZE and ADASUM_STORE in each; if not, ${NO_LAUNCHER} says so.`
  emitWarning(message, 'ADASUM_LAUNCHER')
}
