/**
 * This process's place in the world: from options first, then from ADASUM_*, then from the variables of torchrun and
 * other launchers.
 *
 * Rank and size come from the variables of one launcher, so that the rank of one is never read with the size of
 * another. An option may replace either.
 */
import { AdasumError, type ErrorCode, inspect } from '../errors.ts'
import { checkOptions, checkTimeout } from '../tensor/check.ts'
import { parseAddress } from '../transport/address.ts'
import type { TlsSetting } from '../transport/tls.ts'
import { resolveTuning, type Tuning } from '../tuning.ts'
import { CONNECT_OPTIONS, type ConnectOptions } from '../connect-options.ts'
import { RUN_ID_BYTE_LENGTH } from '../wire/handshake-format.ts'
import { requireComplete } from './completeness.ts'
import { resolveFailureTimeout } from './failure-timeout-setting.ts'
import { ownLaunch } from './launchers/adasum-run.ts'
import { launchesIn, type NamedLaunch } from './launchers/known.ts'
import type { FullLaunch, Launch } from './launchers/launcher.ts'
import { namedMachine } from './machine.ts'
import { readSecret } from './secret.ts'
import { resolveSharedMemory } from './shared-memory-setting.ts'
import { parseStoreAddress, type StoreAddress } from './stores/tcp/address.ts'
import { resolveTls } from './tls-setting.ts'
import { type ChecksumsSetting, resolveChecksums } from './checksums-setting.ts'
import { type Environment, nonEmpty, type Setting, numberOf } from './variables.ts'

/** Largest world this version connects. */
export const MAX_WORLD_SIZE = 1024
export const DEFAULT_CONNECT_TIMEOUT_MS = 60_000

/** A rank's place, checked: 0 <= rank < size <= MAX_WORLD_SIZE. */
export interface Place {
  readonly rank: number
  readonly size: number
  /** Where the ranks meet; undefined only in a world of one. */
  readonly store: StoreAddress | undefined
  /** Whether this process hosts the store. Rank 0 does, unless the launcher does. */
  readonly hostsStore: boolean
  /** Empty if there is none. */
  readonly secret: string
  readonly tls: TlsSetting
  readonly checksums: ChecksumsSetting
  /** Address to listen on and announce, if it was chosen. */
  readonly host: string | undefined
  /** Address at which the store listens, if `store` is an address of another machine. */
  readonly listen?: string | undefined
  /** The identity of this machine, if it was named. */
  readonly machine: string | undefined
  /** Rank and size among the processes of this machine, if the launcher says. */
  readonly localRank: number | undefined
  readonly localSize: number | undefined
  /** 16 bytes that the ranks of one launch share; zero if the launcher names no job. */
  readonly jobId: Uint8Array
  readonly timeoutMs: number
  /** The time that this process was given; all ranks use rank 0's. */
  readonly failureTimeoutMs: number
  /** Patterns for the names of files, if there are to be any. */
  readonly timeline?: Setting<string> | undefined
  readonly flightRecord?: Setting<string> | undefined
  /** The tuning that this process was given; all ranks use rank 0's. */
  readonly tuning: Tuning
  /** How many bytes this process may reserve to share with ranks of its machine; 0 if it shares none. */
  readonly sharedMemory: number
}

/**
 * Reads this process's place. The secret is deleted from `env` and remembered for the next call with the same `env`.
 *
 * @throws AdasumError ERR_ARGUMENT (an option), ERR_ENVIRONMENT (a variable, which the message names, or a launcher
 * that
 *   says of how many processes this is one and not where they meet), ERR_WORLD_SIZE
 */
export function resolvePlace(options: ConnectOptions, variables: Environment = process.env): Place {
  checkOptions(options, CONNECT_OPTIONS)
  const secret = readSecret(options.secret, variables)
  const env = usesLaunchers(options.launcher, variables) ? variables : ownVariables(variables)
  const { timeoutMs: given = DEFAULT_CONNECT_TIMEOUT_MS } = options
  const timeoutMs = checkTimeout(given, 'option "timeoutMs"')
  const launches = launchesIn(env)
  const full = launches.filter(isFull)
  const source = sourceOf(full) ?? ownLaunch(env)
  const rank = numberOption('rank', options.rank) ?? numberOf(source.rank)
  const size = numberOption('size', options.size) ?? numberOf(source.size)
  const store = storeAddress(options, full)
  const jobId = launches.find((launch) => launch.jobId !== undefined)?.jobId ?? new Uint8Array(RUN_ID_BYTE_LENGTH)
  const common = { secret, timeoutMs, jobId, ...settingsOf(options, env) }
  const names = { rank: source.rank.name, size: source.size.name, store: source.store.name }
  const recognised = launches.filter((launch) => !isFull(launch))
  requireComplete({ rank, size, store }, names, recognised)
  if (rank === undefined || size === undefined)
    return { ...common, rank: 0, size: 1, store: undefined, hostsStore: false, localRank: 0, localSize: 1 }
  checkWorld(rank, size)
  const hostsStore = rank.value === 0 && size.value > 1 && !launches.some((launch) => launch.hostsStore === true)
  const place = { ...common, rank: rank.value, size: size.value, store: store?.value, hostsStore }
  return { ...place, ...localPlace(launches, rank.origin) }
}

/** The settings that no launcher gives. */
function settingsOf(options: ConnectOptions, env: Environment) {
  return {
    host: textOption('host', options.host, 'an address or name of this machine') ?? nonEmpty(env, 'ADASUM_HOST'),
    listen: listenSetting(options.listen, 'option "listen"', env),
    machine: identityOf(
      textOption('machine', options.machine, 'a name of this machine') ?? nonEmpty(env, 'ADASUM_MACHINE'),
    ),
    failureTimeoutMs: resolveFailureTimeout(options.failureTimeoutMs, nonEmpty(env, 'ADASUM_FAILURE_TIMEOUT_MS')),
    tuning: resolveTuning(options.tuning, nonEmpty(env, 'ADASUM_TUNING')),
    tls: resolveTls(options.tls, nonEmpty(env, 'ADASUM_TLS')),
    checksums: resolveChecksums(options.checksums, nonEmpty(env, 'ADASUM_CHECKSUMS')),
    sharedMemory: resolveSharedMemory(options.sharedMemory, nonEmpty(env, 'ADASUM_SHARED_MEMORY')),
    timeline: fileSetting('timeline', options.timeline, env, 'ADASUM_TIMELINE'),
    flightRecord: fileSetting('flightRecord', options.flightRecord, env, 'ADASUM_FLIGHT_RECORD'),
  } satisfies Partial<Place>
}

function isFull(launch: NamedLaunch): launch is NamedLaunch & FullLaunch {
  return launch.size !== undefined && launch.store !== undefined
}

/** The launch from which rank and size are read: the first that has either, else the first that has a store. */
function sourceOf(launches: readonly FullLaunch[]): FullLaunch | undefined {
  const numbers = launches.find(({ rank, size }) => rank.text !== undefined || size.text !== undefined)
  return numbers ?? launches.find(({ store }) => store.isSet)
}

function numberOption(name: 'rank' | 'size', value: number | undefined): Setting<number> | undefined {
  if (value === undefined) return undefined
  const origin = `option "${name}"`
  if (Number.isSafeInteger(value) && value >= 0) return { value, origin, code: 'ERR_ARGUMENT' }
  throw new AdasumError('ERR_ARGUMENT', `${origin} must be a whole number from 0 up, but it is ${inspect(value)}`)
}

function textOption(name: 'host' | 'machine', value: string | undefined, what: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  const message = `option "${name}" must be ${what}, but it is ${value === '' ? 'empty' : inspect(value)}`
  throw new AdasumError('ERR_ARGUMENT', message)
}

/**
 * The address at which the store listens, if that is not the store's own: the given one, else that of ADASUM_LISTEN.
 *
 * @param origin - where the given one comes from, for messages
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT
 */
export function listenSetting(chosen: string | undefined, origin: string, env: Environment): string | undefined {
  if (chosen === undefined) {
    const host = nonEmpty(env, 'ADASUM_LISTEN')
    return host === undefined ? undefined : listenHost(host, 'ADASUM_LISTEN', 'ERR_ENVIRONMENT')
  }
  return listenHost(chosen, origin, 'ERR_ARGUMENT')
}

function listenHost(host: unknown, origin: string, code: ErrorCode): string {
  const isHost =
    typeof host === 'string' && [`${host}:1`, `[${host}]:1`].some((text) => parseAddress(text) !== undefined)
  if (isHost) return host
  const what = 'an address or name of this machine, without a port (it is that of the store)'
  throw new AdasumError(
    code,
    `${origin} must be ${what}, but it is ${typeof host === 'string' ? `"${host}"` : inspect(host)}`,
  )
}

function identityOf(machine: string | undefined): string | undefined {
  return machine === undefined ? undefined : namedMachine(machine)
}

function fileSetting(
  name: string,
  option: string | undefined,
  env: Environment,
  variable: string,
): Setting<string> | undefined {
  const fromVariable = nonEmpty(env, variable)
  if (option === undefined)
    return fromVariable === undefined ? undefined : { value: fromVariable, origin: variable, code: 'ERR_ENVIRONMENT' }
  const origin = `option "${name}"`
  if (typeof option === 'string' && option !== '') return { value: option, origin, code: 'ERR_ARGUMENT' }
  const found = option === '' ? 'empty' : inspect(option)
  throw new AdasumError('ERR_ARGUMENT', `${origin} must be the name of a file, but it is ${found}`)
}

function checkWorld(rank: Setting<number>, size: Setting<number>): void {
  if (size.value < 1 || size.value > MAX_WORLD_SIZE) {
    const message = `the world size is ${size.value} (${size.origin}), but this version connects 1 to ${MAX_WORLD_SIZE} ranks`
    throw new AdasumError('ERR_WORLD_SIZE', message)
  }
  if (rank.value < size.value) return
  const code = rank.code === 'ERR_ARGUMENT' ? 'ERR_ARGUMENT' : 'ERR_WORLD_SIZE'
  const message = `the rank is ${rank.value} (${rank.origin}) in a world of ${size.value} (${size.origin}): ranks go from 0 to ${size.value - 1}`
  throw new AdasumError(code, message)
}

/** Whether the variables of launchers count. */
function usesLaunchers(option: unknown, env: Environment): boolean {
  const variable = nonEmpty(env, 'ADASUM_LAUNCHER')
  const [value, origin] = option === undefined ? [variable, 'ADASUM_LAUNCHER'] : [option, 'option "launcher"']
  if (value === undefined || value === 'auto') return true
  if (value === 'none') return false
  const code = option === undefined ? 'ERR_ENVIRONMENT' : 'ERR_ARGUMENT'
  throw new AdasumError(code, `${origin} must be auto or none, but it is ${inspect(value)}`)
}

function ownVariables(env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith('ADASUM_')))
}

function storeAddress(options: ConnectOptions, launches: readonly FullLaunch[]): Setting<StoreAddress> | undefined {
  if (options.store !== undefined) {
    const [origin, code] = ['option "store"', 'ERR_ARGUMENT'] as const
    return { value: parseStoreAddress(options.store, origin, code), origin, code }
  }
  for (const { store } of launches) {
    const value = store.address()
    if (value !== undefined) return { value, origin: store.name, code: 'ERR_ENVIRONMENT' }
  }
  return undefined
}

/**
 * The rank and size on this machine. ADASUM_LOCAL_RANK and ADASUM_LOCAL_SIZE always count; the local rank of another
 * launcher counts only if the rank comes from that launcher, too.
 */
function localPlace(launches: readonly Launch[], rankOrigin: string): Pick<Place, 'localRank' | 'localSize'> {
  const speaks = ({ rank: { name } }: Launch) => name === 'ADASUM_RANK' || name === rankOrigin
  const local = launches.find((launch) => launch.local !== undefined && speaks(launch))?.local
  if (local === undefined) return { localRank: undefined, localSize: undefined }
  const [rankName, sizeName] = [local.rank.name, local.size.name]
  const localRank = numberOf(local.rank)
  const localSize = numberOf(local.size)
  if (localRank === undefined || localSize === undefined) {
    const [there, absent] = localRank === undefined ? [sizeName, rankName] : [rankName, sizeName]
    throw new AdasumError('ERR_ENVIRONMENT', `${there} is set but ${absent} is missing: set ${absent}, too`)
  }
  if (localRank.value < localSize.value) return { localRank: localRank.value, localSize: localSize.value }
  const message = `${rankName} is ${localRank.value}, but ${sizeName} is ${localSize.value}: local ranks go from 0 to ${localSize.value - 1}`
  throw new AdasumError('ERR_ENVIRONMENT', message)
}
