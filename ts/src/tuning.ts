/**
 * The constants that decide how data moves and where it is reduced. They change no result: the bits are the same with
 * any tuning. `adasum bench --calibrate` measures the best values of all but the last, which depends on the network
 * alone. The rendezvous hands rank 0's tuning to all ranks, so every choice is a pure function of what all ranks know.
 * All ranks check the bounds, whatever rank 0 sends.
 *
 * Two constants are not part of the tuning. The largest world of the single-shot schedule changes bits. The length of
 * the chunks that kernels take at a time (kernels/slice.ts) must be the same everywhere: ranks derive each other's
 * pieces from it, and the local functions, which have no rank 0, cut as the collectives do.
 */
import { AdasumError, type ErrorCode, inspect } from './errors.ts'

/** The constants that decide how data moves and where it is reduced. None of them changes a result. */
export interface Tuning {
  /**
   * The largest world whose all-reduce of a short vector is direct; two ranks go direct at any length. Ranks must
   * agree.
   */
  readonly directSize: number
  /** The longest vector of a rank that counts as short for that. Ranks must agree. */
  readonly directByteLength: number
  /**
   * From this length on, data is reduced while it arrives. The length is that of all inputs together; under the direct
   * schedule it is that of one input, which is checked for non-finite values afterwards. Ranks must agree.
   */
  readonly streamByteLength: number
  /** From this length on a broadcast is scattered, then gathered. Ranks must agree. */
  readonly scatterByteLength: number
  /** Large payloads are handed to a connection in writes of this size. Ranks need not agree. */
  readonly writeByteLength: number
  /** From this length on, of all inputs together, a rank reduces off the main thread. Ranks need not agree. */
  readonly offThreadByteLength: number
  /** How many connections each direction between two ranks has; its bytes are spread over them. Ranks must agree. */
  readonly connectionsPerPeer: number
}

export type TuningName = keyof Tuning

export const DEFAULT_TUNING: Tuning = Object.freeze({
  directSize: 8,
  directByteLength: 32 << 10,
  streamByteLength: 1 << 20,
  scatterByteLength: 256 << 10,
  writeByteLength: 8 << 20,
  offThreadByteLength: 1 << 20,
  connectionsPerPeer: 1,
})

/** A length that no data reaches. */
const NEVER = 2 ** 40

/** Smallest and largest values. */
export const TUNING_BOUNDS: Readonly<Record<TuningName, readonly [least: number, most: number]>> = {
  directSize: [2, 16],
  // Under the direct schedule a rank holds the vectors of all ranks: 16 at most.
  directByteLength: [0, 16 << 20],
  // Shorter payloads come in one piece: there is nothing to do meanwhile.
  streamByteLength: [64 << 10, NEVER],
  scatterByteLength: [4 << 10, NEVER],
  // Each write takes a turn of the event loop, and a list of all that are left is kept.
  writeByteLength: [256 << 10, 1 << 30],
  offThreadByteLength: [0, NEVER],
  // Each costs a handshake, a socket at both ends and the system's buffers for it.
  connectionsPerPeer: [1, 16],
}

export const TUNING_NAMES = Object.keys(DEFAULT_TUNING) as readonly TuningName[]

/** Where values come from, for messages: `origin` is the variable's name, or `option "tuning"`. */
interface ValueSource {
  readonly origin: string
  readonly code: ErrorCode
}

/**
 * The tuning of a process: the option's values, then those of ADASUM_TUNING, then the defaults, one by one.
 *
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT for a name that is unknown or a value out of its bounds
 */
export function resolveTuning(option: Partial<Tuning> | undefined, variable: string | undefined): Tuning {
  const fromVariable = variable === undefined ? {} : parseTuning(variable)
  const fromOption =
    option === undefined ? {} : checkTuning(option, { origin: 'option "tuning"', code: 'ERR_ARGUMENT' })
  return { ...DEFAULT_TUNING, ...fromVariable, ...fromOption }
}

/** `directSize=8,directByteLength=32768`, as ADASUM_TUNING takes it. */
export function formatTuning(tuning: Partial<Tuning>): string {
  return Object.entries(tuning)
    .map(([name, value]) => `${name}=${value}`)
    .join()
}

/** A whole tuning that another process has sent, as a fresh object; undefined if it is none. */
export function tuningFrom(value: unknown): Tuning | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const given = new Map<string, unknown>(Object.entries(value))
  if (!TUNING_NAMES.every((name) => isWithin(name, given.get(name)))) return undefined
  return Object.fromEntries(TUNING_NAMES.map((name) => [name, given.get(name)])) as unknown as Tuning
}

function parseTuning(text: string): Partial<Tuning> {
  const source = { origin: 'ADASUM_TUNING', code: 'ERR_ENVIRONMENT' } as const
  const values = new Map<string, unknown>()
  for (const item of text.split(',')) {
    const [, name, digits] = /^\s*(\w+)=(\d{1,15})\s*$/.exec(item) ?? []
    if (name === undefined) {
      const message = `ADASUM_TUNING has the item "${item}": write name=number, with commas between, such as ${formatTuning({ directSize: 8, directByteLength: 32768 })}; the names are ${TUNING_NAMES.join(', ')}`
      throw new AdasumError(source.code, message)
    }
    if (values.has(name)) throw new AdasumError(source.code, `ADASUM_TUNING has ${name} twice: leave one out`)
    values.set(name, Number(digits))
  }
  return checkTuning(Object.fromEntries(values), source)
}

function checkTuning(values: unknown, { origin, code }: ValueSource): Partial<Tuning> {
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    throw new AdasumError(code, `${origin} must be an object of numbers, but it is ${inspect(values)}`)
  const given = Object.entries(values).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    if (!isName(name)) {
      const message = `${origin} names "${name}", which is unknown; there are ${TUNING_NAMES.join(', ')}`
      throw new AdasumError(code, message)
    }
    if (isWithin(name, value)) continue
    const [least, most] = TUNING_BOUNDS[name]
    const message = `${origin} sets ${name} to ${inspect(value)}: use a whole number from ${least} to ${most}`
    throw new AdasumError(code, message)
  }
  return Object.fromEntries(given)
}

function isName(name: string): name is TuningName {
  return (TUNING_NAMES as readonly string[]).includes(name)
}

function isWithin(name: TuningName, value: unknown): boolean {
  const [least, most] = TUNING_BOUNDS[name]
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}
