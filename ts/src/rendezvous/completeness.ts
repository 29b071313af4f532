/**
 * Checks that rank, size and store are given together or not at all; a world of one needs no store. If none is given,
 * this process is a world of one. But if a launcher without a store (one that is only recognised) says that it has
 * started several processes, that is an error: each of them would silently become a world of its own.
 */
import { emitWarning } from '#platform'
import { AdasumError } from '../errors.ts'
import type { NamedLaunch } from './launchers/known.ts'
import type { Setting } from './variables.ts'

type Part = 'rank' | 'size' | 'store'

/**
 * @param names - the variables that a message asks for
 * @param launches - what launchers say that do not say where their processes meet
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
  if (launch !== undefined && isOneOfSeveral(launch)) throw incompleteLaunchError(launch, given, absent, names)
  if (given.length > 0) throw missingPartError(given, first, names[first])
  if (launch !== undefined) warnOfLaunch(launch)
}

/**
 * The launch that makes this process one of several, or may do so: the latter does not say how many processes there
 * are, and this one is number 0. Undefined if there is no such launch, or if one says that this process is the only
 * one.
 */
export function decisiveLaunch(launches: readonly NamedLaunch[]): NamedLaunch | undefined {
  const ofSeveral = launches.find(isOneOfSeveral)
  if (ofSeveral !== undefined) return ofSeveral
  return launches.every(({ size }) => size === undefined) ? launches[0] : undefined
}

/**
 * Whether there are more processes: the launcher says so, or this process's number is not 0, so another one has that.
 */
function isOneOfSeveral({ rank, size }: NamedLaunch): boolean {
  return (size === undefined ? Number(rank.text) + 1 : Number(size.text)) > 1
}

function missingPartError(given: Setting<unknown>[], option: Part, variable: string): AdasumError {
  const there = originsAndVerb(given)
  // If only options are given, the message asks for an option first.
  if (given.every((setting) => setting.code === 'ERR_ARGUMENT')) {
    const message = `${there} given, but option "${option}" is missing: give it, or set ${variable}`
    return new AdasumError('ERR_ARGUMENT', message)
  }
  const message = `${there} set, but ${variable} is missing: set it, or unset the rest for a world of one`
  return new AdasumError('ERR_ENVIRONMENT', message)
}

/** `RANK is`, `option "rank" and ADASUM_SIZE are` */
function originsAndVerb(given: Setting<unknown>[]): string {
  return `${given.map(({ origin }) => origin).join(' and ')} ${given.length > 1 ? 'are' : 'is'}`
}

const NO_LAUNCHER = "ADASUM_LAUNCHER=none or connect({ launcher: 'none' })"

function incompleteLaunchError(
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
  const found =
    given.length > 0 ? `of their places only ${originsAndVerb(given)} set` : 'each would be a world of one rank'
  const wanted = absent.map((name) => values[name]).join(', ')
  const message = `${launchInWords(launch)}, but ${found}. Set ${wanted} in every process; if each is to be a world of its own, ${NO_LAUNCHER}`
  return new AdasumError('ERR_ENVIRONMENT', message)
}

/** What the launcher says of this process, as the beginning of a sentence. */
function launchInWords({ launcher, rank, size }: NamedLaunch): string {
  const self = `number ${Number(rank.text)} (${rank.name})`
  if (size === undefined) return `${launcher} has started this process as ${self}, and does not say of how many`
  return `${launcher} has started ${Number(size.text)} processes (${size.name}), this one as ${self}`
}

let hasWarned = false

/** Process number 0 may be the only one, so it gets a warning only. If there are others, these get errors. */
function warnOfLaunch(launch: NamedLaunch): void {
  if (hasWarned) return
  hasWarned = true
  const message = `${launchInWords(launch)}: this is a world of one rank. If there are more processes, set ADASUM_RANK, ADASUM_SIZE and ADASUM_STORE in each; if not, ${NO_LAUNCHER} says so.`
  emitWarning(message, 'ADASUM_LAUNCHER')
}
