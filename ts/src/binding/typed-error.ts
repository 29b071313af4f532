import { AdasumError, ERROR_CODES, type ErrorCode, systemCode, reasonOf } from '../errors.ts'

/**
 * An addon's error as an AdasumError. Errors of the core have codes of this package. All others have names of
 * Node-API's statuses: GenericFailure is a panic, and every other one says that an argument could not be converted.
 */
export function typedError(error: unknown): AdasumError {
  const found = systemCode(error) ?? 'GenericFailure'
  const known = ERROR_CODES.find((code): code is ErrorCode => code === found)
  const code = known ?? (found === 'GenericFailure' ? 'ERR_BINDING' : 'ERR_ARGUMENT')
  return new AdasumError(code, reasonOf(error), { cause: error })
}
