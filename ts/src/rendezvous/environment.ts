/**
 * Where this process stands in the world: options first, then ADASUM_*, then what torchrun and its relatives set.
 *
 * Rank and size come as a pair from one source, options filling in for the environment one by one, so that a rank of one
 * launcher is never read with the size of another.
 */
import { emitWarning } from '#platform'
import { createHash } from 'node:crypto'
import { AdasumError, type ErrorCode, inspect } from '../errors.ts'
import { checkOptions } from '../tensor/check.ts'
import { parseAddress } from '../transport/address.ts'
import { resolveTuning, type Tuning } from '../tuning.ts'
import { CONNECT_OPTIONS, type ConnectOptions } from '../types.ts'
import { RUN_ID_BYTE_LENGTH } from '../wire/handshake-format.ts'
import { describeLaunch, detectLaunch, isOneOfSeveral, type Launch } from './launchers.ts'
import { namedMachine } from './machine.ts'
import { readSecret } from './secret.ts'
import { resolveSharedMemory } from './shared-memory-setting.ts'

/** Largest world this version connects. */
export const MAX_WORLD_SIZE = 1024
export const DEFAULT_CONNECT_TIMEOUT_MS = 60_000
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1
// Ports tried above MASTER_PORT when torchrun's agent holds that one.
const PORT_TRIES = 8

export interface StoreAddress {
  readonly host: string
  /** The ports the store may have: more than one only where a launcher leaves no port of ours. */
  readonly ports: readonly number[]
}

/** A rank's place, checked: 0 <= rank < size <= MAX_WORLD_SIZE. */
export interface Place {
  readonly rank: number
  readonly size: number
  /** Absent only in a world of one. */
  readonly store: StoreAddress | undefined
  /** Whether this process hosts the store: rank 0, unless the launcher does. */
  readonly hostsStore: boolean
  /** Empty if there is none. */
  readonly secret: string
  /** Address to listen on and announce, if it was chosen. */
  readonly host: string | undefined
  /** Address at which the store listens, where its own is another machine's. */
  readonly listen?: string | undefined
  /** The identity of this machine, if it was named. */
  readonly machine: string | undefined
  /** Rank and size among the processes of this machine, if the launcher says. */
  readonly localRank: number | undefined
  readonly localSize: number | undefined
  /** 16 bytes that the ranks of one launch share; zero if the launcher names no job. */
  readonly jobId: Uint8Array
  readonly timeoutMs: number
  /** Patterns for the names of files, if there are to be any. */
  readonly timeline?: Setting<string> | undefined
  readonly flightRecord?: Setting<string> | undefined
  /** What this process would have all ranks use; only rank 0's counts. */
  readonly tuning: Tuning
  /** Bytes that this process may reserve to share with ranks of its machine; 0: it shares none. */
  readonly sharedMemory: number
}

type Environment = Record<string, string | undefined>

/** A value and where it came from: the variable's name, or `option "rank"`. */
export interface Setting<V> {
  readonly value: V
  readonly origin: string
  readonly code: ErrorCode
}

/**
 * Reads this process's place. The secret is deleted from `env` and remembered for the next call with the same `env`.
 *
 * @throws AdasumError ERR_ARGUMENT (an option), ERR_ENVIRONMENT (a variable, which the message names, or a launcher that
 *   says of how many processes this is one and not where they meet), ERR_WORLD_SIZE
 */
export function resolvePlace(options: ConnectOptions, variables: Environment = process.env): Place {
  checkOptions(options, CONNECT_OPTIONS)
  const secret = readSecret(options.secret, variables)
  const env = hasLauncher(options.launcher, variables) ? variables : ownVariables(variables)
  const timeoutMs = checkTimeout(options.timeoutMs)
  const names = variableNames(env)
  const rank = numberOption('rank', options.rank) ?? numberVariable(env, names.rank)
  const size = numberOption('size', options.size) ?? numberVariable(env, names.size)
  const store = storeAddress(options, env)
  const common = {
    secret,
    timeoutMs,
    host: textOption('host', options.host, 'an address or name of this machine') ?? nonEmpty(env, 'ADASUM_HOST'),
    listen: listenSetting(options.listen, 'option "listen"', env),
    machine: identityOf(
      textOption('machine', options.machine, 'a name of this machine') ?? nonEmpty(env, 'ADASUM_MACHINE'),
    ),
    jobId: jobId(env),
    tuning: resolveTuning(options.tuning, nonEmpty(env, 'ADASUM_TUNING')),
    sharedMemory: resolveSharedMemory(options.sharedMemory, nonEmpty(env, 'ADASUM_SHARED_MEMORY')),
    timeline: fileSetting('timeline', options.timeline, env, 'ADASUM_TIMELINE'),
    flightRecord: fileSetting('flightRecord', options.flightRecord, env, 'ADASUM_FLIGHT_RECORD'),
  }
  requireComplete({ rank, size, store }, names, detectLaunch(env))
  if (rank === undefined || size === undefined)
    return { ...common, rank: 0, size: 1, store: undefined, hostsStore: false, localRank: 0, localSize: 1 }
  checkWorld(rank, size)
  const hostsStore = rank.value === 0 && size.value > 1 && env['ADASUM_STORE_HOST'] !== 'launcher'
  const place = { ...common, rank: rank.value, size: size.value, store: store?.value, hostsStore }
  return { ...place, ...localPlace(env, rank.origin === 'RANK') }
}

/** The variables that rank and size are read from, and the one to ask for if there is no store. */
function variableNames(env: Environment): Record<'rank' | 'size' | 'store', string> {
  const isSet = (name: string) => env[name] !== undefined
  const own = isSet('ADASUM_RANK') || isSet('ADASUM_SIZE')
  const launcher = isSet('RANK') || isSet('WORLD_SIZE') || (!isSet('ADASUM_STORE') && isSet('MASTER_ADDR'))
  if (own || !launcher) return { rank: 'ADASUM_RANK', size: 'ADASUM_SIZE', store: 'ADASUM_STORE' }
  return { rank: 'RANK', size: 'WORLD_SIZE', store: 'MASTER_ADDR' }
}

function numberOption(name: 'rank' | 'size', value: number | undefined): Setting<number> | undefined {
  if (value === undefined) return undefined
  const origin = `option "${name}"`
  if (Number.isSafeInteger(value) && value >= 0) return { value, origin, code: 'ERR_ARGUMENT' }
  throw new AdasumError('ERR_ARGUMENT', `${origin} must be a whole number from 0 up, but it is ${inspect(value)}`)
}

function numberVariable(env: Environment, name: string): Setting<number> | undefined {
  const text = env[name]
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return { value: Number(text), origin: name, code: 'ERR_ENVIRONMENT' }
  throw new AdasumError('ERR_ENVIRONMENT', `${name} must be a whole number from 0 up, but it is "${text}"`)
}

function textOption(name: 'host' | 'machine', value: string | undefined, what: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  const message = `option "${name}" must be ${what}, but it is ${value === '' ? 'empty' : inspect(value)}`
  throw new AdasumError('ERR_ARGUMENT', message)
}

/**
 * Where the store listens if that is not its address: what was chosen, else what ADASUM_LISTEN says.
 *
 * @param origin - of what was chosen, for messages
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

function nonEmpty(env: Environment, name: string): string | undefined {
  if (env[name] === '') throw new AdasumError('ERR_ENVIRONMENT', `${name} is empty: set it or unset it`)
  return env[name]
}

function checkTimeout(timeoutMs: number = DEFAULT_CONNECT_TIMEOUT_MS): number {
  if (typeof timeoutMs === 'number' && timeoutMs > 0 && timeoutMs <= LONGEST_TIMEOUT_MS) return timeoutMs
  const message = `option "timeoutMs" must be a number of milliseconds above 0 and up to ${LONGEST_TIMEOUT_MS}, but it is ${inspect(timeoutMs)}`
  throw new AdasumError('ERR_ARGUMENT', message)
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

/**
 * Rank, size and store, all or none of them; a world of one needs no store. None is a world of one, unless a launcher says
 * that this process is one of several.
 */
function requireComplete(
  place: Readonly<Record<'rank' | 'size' | 'store', Setting<unknown> | undefined>>,
  names: Record<'rank' | 'size' | 'store', string>,
  launch: Launch | undefined,
): void {
  const all = ['rank', 'size', 'store'] as const
  const given = all.flatMap((name) => place[name] ?? [])
  const absent = all.filter((name) => place[name] === undefined)
  const [first] = absent
  if (first === undefined || (first === 'store' && place.size?.value === 1)) return
  if (launch !== undefined && isOneOfSeveral(launch)) throw launched(launch, given, absent, names)
  if (given.length > 0) throw missing(given, first, names[first])
  if (launch !== undefined) warnOfLaunch(launch)
}

function missing(given: Setting<unknown>[], option: 'rank' | 'size' | 'store', variable: string): AdasumError {
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
  launch: Launch,
  given: Setting<unknown>[],
  absent: readonly ('rank' | 'size' | 'store')[],
  names: Record<'rank' | 'size' | 'store', string>,
): AdasumError {
  const values = {
    rank: `${names.rank}=$${launch.rank.name}`,
    size: `${names.size}=${launch.size === undefined ? '<how many there are>' : `$${launch.size.name}`}`,
    store: names.store === 'MASTER_ADDR' ? 'MASTER_ADDR and MASTER_PORT' : `${names.store}=<host of rank 0>:<port>`,
  }
  const found = given.length > 0 ? `of their places only ${listed(given)} set` : 'each would be a world of one rank'
  const wanted = absent.map((name) => values[name]).join(', ')
  const message = `${describeLaunch(launch)}, but ${found}. Set ${wanted} in every process; if each is to be a world of its own, ${NO_LAUNCHER}`
  return new AdasumError('ERR_ENVIRONMENT', message)
}

let hasWarned = false

/** Number 0 may be the only one; but if it is not, it is also the only one that gets no error. */
function warnOfLaunch(launch: Launch): void {
  if (hasWarned) return
  hasWarned = true
  const message = `${describeLaunch(launch)}: this is a world of one rank. If there are more processes, set ADASUM_RANK, ADASUM_SIZE and ADASUM_STORE in each; if not, ${NO_LAUNCHER} says so.`
  emitWarning(message, 'ADASUM_LAUNCHER')
}

/** Whether variables that launchers set mean something. */
function hasLauncher(option: unknown, env: Environment): boolean {
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

function storeAddress(options: ConnectOptions, env: Environment): Setting<StoreAddress> | undefined {
  if (options.store !== undefined) return parseStore(options.store, 'option "store"', 'ERR_ARGUMENT')
  const own = env['ADASUM_STORE']
  if (own !== undefined) return parseStore(own, 'ADASUM_STORE', 'ERR_ENVIRONMENT')
  const host = nonEmpty(env, 'MASTER_ADDR')
  const master = portVariable(env, 'MASTER_PORT')
  if (host === undefined && master === undefined) return undefined
  if (host === undefined || master === undefined) {
    const [there, absent] = host === undefined ? ['MASTER_PORT', 'MASTER_ADDR'] : ['MASTER_ADDR', 'MASTER_PORT']
    throw new AdasumError('ERR_ENVIRONMENT', `${there} is set but ${absent} is missing: set ${absent}, too`)
  }
  return { value: { host, ports: masterPorts(env, master) }, origin: 'MASTER_ADDR', code: 'ERR_ENVIRONMENT' }
}

function parseStore(text: string, origin: string, code: ErrorCode): Setting<StoreAddress> {
  const address = typeof text === 'string' ? parseAddress(text) : undefined
  if (address !== undefined && address.port > 0)
    return { value: { host: address.host, ports: [address.port] }, origin, code }
  throw new AdasumError(
    code,
    `${origin} must be host:port or [ipv6]:port with a port from 1 to 65535, but it is "${inspect(text)}"`,
  )
}

function portVariable(env: Environment, name: string): number | undefined {
  const port = numberVariable(env, name)?.value
  if (port === undefined || (port > 0 && port <= 65535)) return port
  throw new AdasumError('ERR_ENVIRONMENT', `${name} must be a port from 1 to 65535, but it is ${port}`)
}

/** Under torchrun the agent itself listens on MASTER_PORT, so the store is at ADASUM_PORT or a little above. */
function masterPorts(env: Environment, masterPort: number): number[] {
  const own = portVariable(env, 'ADASUM_PORT')
  if (own !== undefined) return [own]
  if (!/^true$/i.test(env['TORCHELASTIC_USE_AGENT_STORE'] ?? '')) return [masterPort]
  // Counting down from the top instead of leaving the range of ports.
  const first = Math.min(masterPort + 1, 65536 - PORT_TRIES)
  return Array.from({ length: PORT_TRIES }, (_, i) => first + i).filter((port) => port !== masterPort)
}

function localPlace(env: Environment, byLauncher: boolean): Pick<Place, 'localRank' | 'localSize'> {
  const own = env['ADASUM_LOCAL_RANK'] ?? env['ADASUM_LOCAL_SIZE']
  const theirs = byLauncher && env['LOCAL_RANK'] !== undefined && env['LOCAL_WORLD_SIZE'] !== undefined
  if (own === undefined && !theirs) return { localRank: undefined, localSize: undefined }
  const [rankName, sizeName] =
    own === undefined ? ['LOCAL_RANK', 'LOCAL_WORLD_SIZE'] : ['ADASUM_LOCAL_RANK', 'ADASUM_LOCAL_SIZE']
  const localRank = numberVariable(env, rankName)
  const localSize = numberVariable(env, sizeName)
  if (localRank === undefined || localSize === undefined) {
    const [there, absent] = localRank === undefined ? [sizeName, rankName] : [rankName, sizeName]
    throw new AdasumError('ERR_ENVIRONMENT', `${there} is set but ${absent} is missing: set ${absent}, too`)
  }
  if (localRank.value < localSize.value) return { localRank: localRank.value, localSize: localSize.value }
  const message = `${rankName} is ${localRank.value}, but ${sizeName} is ${localSize.value}: local ranks go from 0 to ${localSize.value - 1}`
  throw new AdasumError('ERR_ENVIRONMENT', message)
}

/**
 * Keeps two torchrun jobs whose ports lie side by side from meeting, and a restarted job from meeting its past. The run
 * id alone would not do: it is "none" wherever the user has not chosen one.
 */
function jobId(env: Environment): Uint8Array {
  if (env['TORCHELASTIC_RUN_ID'] === undefined) return new Uint8Array(RUN_ID_BYTE_LENGTH)
  const names = ['TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT', 'MASTER_ADDR', 'MASTER_PORT']
  const text = JSON.stringify(names.map((name) => env[name] ?? ''))
  return createHash('sha256').update(`adasum job\0${text}`).digest().subarray(0, RUN_ID_BYTE_LENGTH)
}
