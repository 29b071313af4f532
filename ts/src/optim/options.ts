import { AdasumError, inspect } from '../errors.ts'
import { checkOnNonFinite, checkOp } from '../reduction/options.ts'
import type { ExchangeOptions } from './flat-exchange.ts'

/** The whole positive number an option holds, or its default. */
export function checkCount(value: unknown, label: string, otherwise: number): number {
  if (value === undefined) return otherwise
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw new AdasumError('ERR_ARGUMENT', `${label} is ${inspect(value)}; it must be a whole number of at least 1.`)
}

/** The options that every exchange takes, checked, and none of the others. */
export function checkExchangeOptions(options: unknown): ExchangeOptions {
  if (typeof options !== 'object' || options === null)
    throw new AdasumError('ERR_ARGUMENT', `the options are ${inspect(options)}; pass an object with at least \`op\`.`)
  const { op, onNonFinite, timeoutMs, signal } = options as Partial<ExchangeOptions>
  const checkedOp = checkOp(op)
  const checked: ExchangeOptions = { op: checkedOp, onNonFinite: checkOnNonFinite(onNonFinite, checkedOp) }
  if (timeoutMs !== undefined) checked.timeoutMs = timeoutMs
  if (signal !== undefined) checked.signal = signal
  return checked
}
