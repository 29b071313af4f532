/** What the errors of encrypted connections say. It is asked by what runs in browsers, too. */
import { systemCode } from '../errors.ts'

/** Why ends that encrypt did not come together. */
export type TlsFailure = 'secret' | 'plain' | 'certificate' | 'other'

const FAILURES: ReadonlyMap<string, TlsFailure> = new Map([
  ['ERR_SSL_BINDER_DOES_NOT_VERIFY', 'secret'],
  ['ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER', 'secret'],
  ['ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR', 'secret'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'plain'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'plain'],
  ['ERR_SSL_BAD_RECORD_TYPE', 'plain'],
])
const CERTIFICATE_CODES =
  /CERT|ISSUER|LEAF_SIGNATURE|DEPTH_ZERO|CRL|^ERR_SSL_.*(?:UNKNOWN_CA|NO_SHARED_CIPHER|HANDSHAKE_FAILURE)/

/** What OpenSSL says in the middle of a write comes as EPROTO, with its reason in the message only. */
function codeOf(error: unknown): string {
  const code = systemCode(error) ?? ''
  if (code !== 'EPROTO') return code
  const reason = /:SSL routines:[^:]*:([^:]+)/.exec((error as Error).message)?.[1] ?? 'unknown'
  return `ERR_SSL_${reason.toUpperCase().replaceAll(' ', '_')}`
}

/** Whether an error of a connection is one of its encryption, and which; undefined for other errors. */
export function tlsFailureOf(error: unknown): TlsFailure | undefined {
  const code = codeOf(error)
  const known = FAILURES.get(code)
  if (known !== undefined) return known
  if (CERTIFICATE_CODES.test(code)) return 'certificate'
  return code.startsWith('ERR_SSL_') ? 'other' : undefined
}
