import { checkCompressor, checkHierarchy, checkOnNonFinite, checkOp } from '../reduction/options.ts'
import { checkArray, checkOptions, wholeNumber } from '../tensor/check.ts'
import type { CallOptions, OptionNames } from '../types.ts'
import type { ExchangeOptions } from './flat-exchange.ts'

/** The whole positive number an option holds, or its default. */
export function checkCount(value: unknown, label: string, otherwise: number): number {
  return value === undefined ? otherwise : wholeNumber(value, label, { least: 1 })
}

/** The options that every exchange takes, checked, and none of the others, which must be among `known`. */
export function checkExchangeOptions<O extends ExchangeOptions>(options: O, known: OptionNames<O>): ExchangeOptions {
  checkOptions(options, known)
  const op = checkOp(options.op)
  const hierarchy = checkHierarchy(options.hierarchy, op, 'auto')
  const compressor = checkCompressor(options.compressor, op, checkArray(new Float32Array(0), 'the weights'))
  return {
    ...{ op, onNonFinite: checkOnNonFinite(options.onNonFinite, op) },
    ...(hierarchy !== undefined && { hierarchy }),
    ...(compressor !== undefined && { compressor }),
    ...callOptionsOf(options),
  }
}

/** Of an exchange's options, those that every collective takes. */
export function callOptionsOf({ timeoutMs, signal }: CallOptions): CallOptions {
  return { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal !== undefined && { signal }) }
}
