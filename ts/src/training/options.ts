import { checkCompressor, checkHierarchy, checkOnNonFinite, checkOp } from '../reduction/options.ts'
import { checkArray, checkOptions, wholeNumber } from '../tensor/check.ts'
import type { CallOptions, OptionNames } from '../types.ts'
import type { ExchangeOptions } from './flat-exchange.ts'

/** The whole positive number an option holds, or its default. */
export function checkCount(value: unknown, label: string, otherwise: number): number {
  return value === undefined ? otherwise : wholeNumber(value, label, { least: 1 })
}

/**
 * The options that every exchange takes, checked, without the others.
 * @param names - of all options that there may be
 */
export function checkExchangeOptions<O extends ExchangeOptions>(options: O, names: OptionNames<O>): ExchangeOptions {
  checkOptions(options, names)
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

/** The options of an exchange that every collective takes. */
export function callOptionsOf({ timeoutMs, signal }: CallOptions): CallOptions {
  return { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal !== undefined && { signal }) }
}
