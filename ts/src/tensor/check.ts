/**
 * Checks of options and arrays that come from the caller. All other code relies on them: memory is attached, of fixed
 * size and not shared with another thread, and no two arrays of a call overlap.
 */
import { isDetached, isResizable, isShared, locationOf } from '../binding/typed-array.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import type { NumericArray, OptionNames } from '../types.ts'
import { type Dtype, dtypeOf, halfDtype } from './dtype.ts'

function refuse(message: string): never {
  throw new AdasumError('ERR_ARGUMENT', message)
}

/** The kind of a wrong argument, for a message. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  try {
    if (Array.isArray(value)) return 'a plain array'
    const { name } = value.constructor
    return `an object of type ${typeof name === 'string' ? inspect(name) : 'unknown'}`
  } catch {
    return 'an object of type unknown'
  }
}

/**
 * ERR_ARGUMENT unless `options` is an object whose names are all known; otherwise a misspelt option would silently be
 * the default. Options that are undefined count as absent.
 */
export function checkOptions<O>(options: O, known: OptionNames<O>): void {
  reading('options', () => checkNames(options, known))
}

/**
 * Reads each of the caller's options once, so that it does not matter what a getter or a proxy returns later. Does not
 * check them.
 *
 * @throws AdasumError ERR_ARGUMENT if they cannot be read
 */
export function copyOptions<O>(options: O, known: Readonly<Record<string, true>>): O {
  if (typeof options !== 'object' || options === null) return options
  return reading('options', () => {
    if (Array.isArray(options)) return options
    const copy = { ...options } as Record<string, unknown>
    if (Object.getPrototypeOf(options) === Object.prototype) return copy as O
    // Options may also come from a prototype. Absent ones are not copied: that would cost each call more than its
    // checks.
    for (const name of Object.keys(known)) {
      const value = Object.hasOwn(copy, name) ? undefined : options[name as keyof O]
      if (value !== undefined) copy[name] = value
    }
    return copy as O
  })
}

/**
 * A copy of the caller's options whose names are all known: `copyOptions`, then `checkOptions`.
 *
 * @throws AdasumError ERR_ARGUMENT as these do
 */
export function readOptions<O>(options: O, known: OptionNames<O>): O {
  const copy = copyOptions(options, known as Readonly<Record<string, true>>)
  checkOptions(copy, known)
  return copy
}

function checkNames<O>(options: O, known: OptionNames<O>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    refuse(`options must be an object; got ${kindOf(options)}.`)
  const isUnknown = ([name, value]: [string, unknown]): boolean => value !== undefined && !Object.hasOwn(known, name)
  const [unknown] = Object.entries(options).find(isUnknown) ?? []
  if (unknown !== undefined)
    refuse(`there is no option "${inspect(unknown)}". The options are ${Object.keys(known).join(', ')}.`)
}

/**
 * One of some words, or ERR_ARGUMENT.
 *
 * @param hint - what else the caller should know, after the words
 */
export function oneOf<Word extends string>(value: unknown, words: readonly Word[], what: string, hint = '.'): Word {
  if (words.includes(value as Word)) return value as Word
  refuse(`${what} is ${inspect(value)}; it must be one of ${words.join(', ')}${hint}`)
}

/**
 * A whole number from `least` to `most`, or ERR_ARGUMENT.
 *
 * @param hint - what else the caller should know, after the bounds
 */
export function wholeNumber(
  value: unknown,
  what: string,
  { least = 0, most = Infinity, hint = '.' }: { least?: number; most?: number; hint?: string } = {},
): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  const bounds = most < Infinity ? ` from ${least} to ${most}` : least > -Infinity ? ` of at least ${least}` : ''
  refuse(`${what} is ${inspect(value)}; it must be a whole number${bounds}${hint}`)
}

/**
 * A finite number, or ERR_ARGUMENT.
 *
 * @param range - from `least` to, but not including, `below`
 */
export function numberFrom(value: unknown, what: string, range: { least: number; below?: number }): number {
  const { least, below = Infinity } = range
  if (typeof value === 'number' && value >= least && value < below) return value
  const bounds = below < Infinity ? `from ${least} to less than ${below}` : `of at least ${least}`
  refuse(`${what} is ${inspect(value)}; it must be a finite number ${bounds}.`)
}

/** The longest time that a timer can hold. */
export const LONGEST_TIMEOUT_MS: number = 2 ** 31 - 1

/** Milliseconds that a timer can hold, or ERR_ARGUMENT. */
export function checkTimeout(value: unknown, what = 'timeoutMs'): number {
  if (typeof value === 'number' && value >= 1 && value <= LONGEST_TIMEOUT_MS) return value
  refuse(`${what} is ${inspect(value)}; it must be from 1 to ${LONGEST_TIMEOUT_MS} milliseconds.`)
}

/** Whether a switch is on, or ERR_ARGUMENT; it is off if absent. */
export function checkFlag(value: unknown, what: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true
  refuse(`${what} is ${inspect(value)}; it must be true or false.`)
}

/**
 * Reads the numbers of a list, which may be anything with a length and elements. Does not check them.
 *
 * @param most - the greatest length that makes sense
 * @throws AdasumError ERR_ARGUMENT if it is no list, or a longer one
 */
export function readNumbers(list: unknown, most: number, what: string): number[] {
  if (typeof list !== 'object' || list === null) refuse(`${what} must be a list of numbers; got ${kindOf(list)}.`)
  return reading(what, () => {
    const { length } = list as ArrayLike<number>
    if (!Number.isSafeInteger(length) || length < 0)
      refuse(`${what} must be a list of numbers; its length is ${inspect(length)}.`)
    if (length > most) refuse(`${what} has ${length} numbers, of which there may be ${most}.`)
    return Array.from({ length }, (_, i) => (list as ArrayLike<number>)[i]!)
  })
}

/** The error of a call that finds its memory transferred away. */
export function transferredAway(): AdasumError {
  return new AdasumError(
    'ERR_ARGUMENT',
    'An array was transferred away during the call. Keep it until the promise settles.',
  )
}

/** The array's dtype, or ERR_ARGUMENT if it is no typed array, or if its memory may change during the call. */
export function checkArray(value: unknown, what: string): Dtype {
  const dtype = dtypeOf(value)
  if (!dtype) refuse(`${what} must be a typed array; got ${kindOf(value)}. Use Float32Array or Float64Array.`)
  const array = value as NumericArray
  if (isShared(array))
    refuse(
      `${what} is a view of a SharedArrayBuffer, which another thread may change. Copy it into its own ArrayBuffer.`,
    )
  if (isResizable(array))
    refuse(`${what} is a view of a resizable ArrayBuffer, which may shrink. Copy it into a fixed one.`)
  if (isDetached(array)) refuse(`${what} is detached: its ArrayBuffer has been transferred away. Pass a live array.`)
  return dtype
}

/**
 * The dtype in which an array is reduced, or ERR_ARGUMENT: that of a Float32Array or Float64Array, and for a
 * Uint16Array the half format that the caller names. `more` is what else the operation takes, as a sentence.
 */
export function reducibleDtype(found: Dtype, named: unknown, what: string, more = ''): Dtype {
  const half = found.name === 'u16' ? halfDtype(named) : undefined
  if (half) return half
  if (found.isFloat && (named === undefined || named === found.name)) return found
  const takes = "Reductions take f32, f64, and f16 or bf16 in a Uint16Array with dtype: 'f16' or 'bf16'." + more
  if (named === undefined) refuse(`${what} is ${found.name}, which cannot be reduced. ${takes}`)
  refuse(`dtype is ${inspect(named)}, and ${what} is ${found.name}. ${takes}`)
}

/** The bytes of an array, without copying. */
export function bytesOf(array: NumericArray): Uint8Array {
  const { buffer, byteOffset, byteLength } = locationOf(array)
  return new Uint8Array(buffer, byteOffset, byteLength)
}

export function totalByteLength(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

/** ERR_ARGUMENT if any two of the arrays share memory. */
export function checkDisjoint(arrays: readonly { array: NumericArray; what: string }[]): void {
  const byBuffer = new Map<ArrayBufferLike, { begin: number; end: number; what: string }[]>()
  for (const { array, what } of arrays) {
    const { buffer, byteOffset, byteLength } = locationOf(array)
    if (byteLength === 0) continue
    const ranges = byBuffer.get(buffer)
    const range = { begin: byteOffset, end: byteOffset + byteLength, what }
    if (ranges) ranges.push(range)
    else byBuffer.set(buffer, [range])
  }
  for (const ranges of byBuffer.values()) {
    ranges.sort((a, b) => a.begin - b.begin)
    for (let i = 1; i < ranges.length; i++) {
      const [before, after] = [ranges[i - 1]!, ranges[i]!]
      if (after.begin < before.end)
        refuse(
          `${before.what} and ${after.what} overlap: bytes ${before.begin}..${before.end} and ${after.begin}..${after.end}` +
            ' of one buffer. Give each its own memory.',
        )
    }
  }
}
