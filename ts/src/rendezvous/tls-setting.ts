/** How this process encrypts its connections. */
import { AdasumError, type ErrorCode, inspect } from '../errors.ts'
import type { TlsSetting } from '../transport/tls.ts'
import type { Certificates } from '../connect-options.ts'

/**
 * From the option, else from ADASUM_TLS, else the default.
 *
 * @throws AdasumError ERR_ARGUMENT, ERR_ENVIRONMENT
 */
export function resolveTls(option: unknown, variable: string | undefined): TlsSetting {
  if (option === undefined)
    return variable === undefined ? 'default' : wordOf(variable, 'ADASUM_TLS', 'ERR_ENVIRONMENT')
  if (typeof option === 'object' && option !== null) return certificatesOf(option)
  return wordOf(option, 'option "tls"', 'ERR_ARGUMENT', ', or an object with certificates')
}

function wordOf(value: unknown, origin: string, code: ErrorCode, others = ''): 'psk' | 'off' {
  if (value === 'psk' || value === 'off') return value
  throw new AdasumError(code, `${origin} must be psk or off${others}, but it is ${inspect(value)}`)
}

const PARTS = ['key', 'cert', 'ca'] as const

function certificatesOf(option: object): TlsSetting {
  const { certificates } = option as { certificates?: unknown }
  const given = (typeof certificates === 'object' && certificates !== null ? certificates : {}) as Certificates
  for (const part of PARTS) {
    const value: unknown = given[part]
    if (typeof value === 'string' && value.startsWith('-----BEGIN ')) continue
    const found = typeof value === 'string' ? 'another text' : inspect(value)
    throw new AdasumError('ERR_ARGUMENT', `option "tls.certificates.${part}" must be a text in PEM, but it is ${found}`)
  }
  const { key, cert, ca } = given
  return { certificates: { key, cert, ca } }
}
