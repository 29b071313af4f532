/** Whether this process's connections carry checksums. */
import { AdasumError, inspect } from '../errors.ts'

/** `default`: beyond the loopback interface, unless connections there are encrypted, which finds every change. */
export type ChecksumsSetting = 'default' | 'on' | 'off'

/**
 * From the option, else from ADASUM_CHECKSUMS, else the default.
 *
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT
 */
export function resolveChecksums(option: unknown, variable: string | undefined): ChecksumsSetting {
  if (option === true || option === false) return option ? 'on' : 'off'
  if (option !== undefined)
    throw new AdasumError('ERR_ARGUMENT', `option "checksums" must be true or false, but it is ${inspect(option)}`)
  if (variable === undefined) return 'default'
  if (variable === '1' || variable === '0') return variable === '1' ? 'on' : 'off'
  throw new AdasumError('ERR_ENVIRONMENT', `ADASUM_CHECKSUMS must be 0 or 1, but it is ${inspect(variable)}`)
}
