/** TCP as a process of a job uses it: encrypted as it is told. */
import { sha256 } from '#platform'
import { hexOf } from '../bytes.ts'
import { AdasumError } from '../errors.ts'
import { tcp, tcpTransport } from './tcp.ts'
import { encryptionOf, type TlsSetting } from './tls.ts'
import type { Transport } from './transport.ts'

/** By what they are made of: stores that a process hosts are shared by those who have the same transport. */
const made = new Map<string, Transport>()

/**
 * Plain TCP where nothing is to be encrypted, or there is nothing to do it by: without a secret there are no connections
 * beyond the loopback interface.
 *
 * @throws AdasumError ERR_ARGUMENT for certificates that cannot be read
 */
export function securedTcp(secret: string, setting: TlsSetting): Transport {
  if (setting === 'off' || (secret === '' && typeof setting !== 'object')) return tcp
  const key = hexOf(sha256(JSON.stringify([secret, setting])))
  const transport = made.get(key) ?? makeSecured(secret, setting)
  made.set(key, transport)
  return transport
}

function makeSecured(secret: string, setting: Exclude<TlsSetting, 'off'>): Transport {
  try {
    return tcpTransport({ encryption: encryptionOf(secret, setting) })
  } catch (cause) {
    const message = `option "tls.certificates" has what OpenSSL cannot read (${(cause as Error).message}): key, cert and ca are texts in PEM`
    throw new AdasumError('ERR_ARGUMENT', message, { cause })
  }
}
