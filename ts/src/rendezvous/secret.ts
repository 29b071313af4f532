/**
 * The secret that all ranks share, from an option, ADASUM_SECRET or the file that ADASUM_SECRET_FILE names; never from
 * the command line, which every user of the machine can read.
 *
 * Child processes inherit the environment, so the variable is deleted once read, and the secret kept here for a later
 * connect() of the same process.
 */
import { readFileSync } from 'node:fs'
import { AdasumError } from '../errors.ts'

const remembered: WeakMap<object, string> = new WeakMap()

/**
 * @returns the secret, or the empty string if there is none
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT for a secret that is empty or a file that cannot be read
 */
export function readSecret(option: string | undefined, env: Record<string, string | undefined>): string {
  const secret = env['ADASUM_SECRET'] ?? secretFile(env['ADASUM_SECRET_FILE'])
  delete env['ADASUM_SECRET']
  delete env['ADASUM_SECRET_FILE']
  if (secret === '') throw new AdasumError('ERR_ENVIRONMENT', 'ADASUM_SECRET is empty: set a secret or unset it')
  if (secret !== undefined) remembered.set(env, secret)
  if (option === undefined) return remembered.get(env) ?? ''
  if (typeof option === 'string' && option !== '') return option
  throw new AdasumError(
    'ERR_ARGUMENT',
    'option "secret" must be a string that is not empty: leave it out if there is none',
  )
}

function secretFile(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readSecretFile(path)
  } catch (cause) {
    const message = `the file that ADASUM_SECRET_FILE names cannot be read: ${String(cause)}`
    throw new AdasumError('ERR_ENVIRONMENT', message, { cause })
  }
}

/**
 * The secret in a file, for whoever names one.
 *
 * @throws the system's error
 */
export function readSecretFile(path: string): string {
  // Editors and echo end a file with a line break that nobody means to be part of the secret.
  return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
}
