/**
 * Checks of arrays that come from the caller. Everything below this layer may rely on them: the memory is attached, of
 * fixed size, not shared with another thread, and no two arrays of a call overlap.
 */
import { isDetached, isShared } from '../binding/typed-array.ts'
import { AdasumError, inspect } from '../errors.ts'
import type { NumericArray, OptionNames } from '../types.ts'
import { type Dtype, dtypeOf, halfDtype } from './dtype.ts'

function refuse(message: string): never {
  throw new AdasumError('ERR_ARGUMENT', message)
}

/** What a wrong argument is, for a message. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'a plain array'
  return typeof value === 'object' ? `an object of type ${value.constructor?.name ?? 'unknown'}` : `a ${typeof value}`
}

/**
 * ERR_ARGUMENT unless `options` is an object whose names are all known: a misspelt one would be the default, in silence.
 * One that is undefined counts as absent.
 */
export function checkOptions<O>(options: O, known: OptionNames<O>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    refuse(`options must be an object; got ${describe(options)}.`)
  const isUnknown = ([name, value]: [string, unknown]): boolean => value !== undefined && !Object.hasOwn(known, name)
  const [unknown] = Object.entries(options).find(isUnknown) ?? []
  if (unknown !== undefined)
    refuse(`there is no option "${inspect(unknown)}". The options are ${Object.keys(known).join(', ')}.`)
}

/** What a call throws when it finds its memory gone. */
export function transferredAway(): AdasumError {
  return new AdasumError(
    'ERR_ARGUMENT',
    'An array was transferred away during the call. Keep it until the promise settles.',
  )
}

/** The array's dtype, or ERR_ARGUMENT if it is no typed array or its memory may change under us. */
export function checkArray(value: unknown, what: string): Dtype {
  const dtype = dtypeOf(value)
  if (!dtype) refuse(`${what} must be a typed array; got ${describe(value)}. Use Float32Array or Float64Array.`)
  const array = value as NumericArray
  if (isShared(array))
    refuse(
      `${what} is a view of a SharedArrayBuffer, which another thread may change. Copy it into its own ArrayBuffer.`,
    )
  if ((array.buffer as { resizable?: boolean }).resizable === true)
    refuse(`${what} is a view of a resizable ArrayBuffer, which may shrink. Copy it into a fixed one.`)
  if (isDetached(array)) refuse(`${what} is detached: its ArrayBuffer has been transferred away. Pass a live array.`)
  return dtype
}

/**
 * The dtype in which an array is reduced, or ERR_ARGUMENT: that of a Float32Array or Float64Array, and for a Uint16Array
 * the half format that the caller names. `more` is what else the operation takes, as a sentence.
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
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength)
}

export function totalByteLength(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

/** ERR_ARGUMENT if any two of the arrays share memory. */
export function checkDisjoint(arrays: readonly { array: NumericArray; what: string }[]): void {
  const byBuffer = new Map<ArrayBufferLike, { begin: number; end: number; what: string }[]>()
  for (const { array, what } of arrays) {
    if (array.byteLength === 0) continue
    const ranges = byBuffer.get(array.buffer)
    const range = { begin: array.byteOffset, end: array.byteOffset + array.byteLength, what }
    if (ranges) ranges.push(range)
    else byBuffer.set(array.buffer, [range])
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
