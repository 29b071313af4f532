import { checkInputCount, checkKeptOp, checkOperation } from '../reduction/operation.ts'
import { checkCompressor, checkGram, checkHierarchy, checkOnNonFinite } from '../reduction/options.ts'
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
 * @param size - the number of ranks
 * @throws AdasumError ERR_ARGUMENT; ERR_UNSUPPORTED for an operator that does not take so many ranks
 */
export function checkExchangeOptions<O extends ExchangeOptions>(
  options: O,
  names: OptionNames<O>,
  size: number,
): ExchangeOptions {
  checkOptions(options, names)
  const op = checkKeptOp(options.op)
  const operation = checkOperation(op)
  checkInputCount(operation, size, 'ranks')
  const { name } = operation
  const hierarchy = checkHierarchy(options.hierarchy, name, 'auto')
  const gram = checkGram(options.gram, name)
  const compressor = checkCompressor(options.compressor, name, checkArray(new Float32Array(0), 'the weights'))
  return {
    ...{ op, onNonFinite: checkOnNonFinite(options.onNonFinite, name) },
    ...(hierarchy !== undefined && { hierarchy }),
    ...(compressor !== undefined && { compressor }),
    ...(gram && { gram }),
    ...callOptionsOf(options),
  }
}

/** The options of an exchange that every collective takes. */
export function callOptionsOf({ timeoutMs, signal }: CallOptions): CallOptions {
  return { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal !== undefined && { signal }) }
}
