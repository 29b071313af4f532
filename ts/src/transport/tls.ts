/**
 * Encryption of TCP connections by TLS 1.3.
 *
 * By default the key is derived from the secret that all ranks share (an external pre-shared key, RFC 8446 section
 * 2.2), together with a fresh Diffie-Hellman exchange: no certificate is needed, and who learns the secret later
 * cannot read what was recorded. A recorded handshake lets its owner guess secrets without asking anybody (RFC 9257
 * section 4.1), which is why short secrets are refused. With certificates both ends must have one that the authority
 * given has signed; names in them do not matter, since the handshake inside says who is who.
 *
 * There are no resumed sessions and no early data. The handshake of adasum goes on inside, over a value that both ends of
 * one channel have and no two channels share (RFC 5705 and RFC 9266), so that nobody can join the halves of two.
 */
import { constants, createHmac, X509Certificate } from 'node:crypto'
import type { Socket, TcpNetConnectOpts } from 'node:net'
import { connect, createSecureContext, TLSSocket, type ConnectionOptions, type TLSSocketOptions } from 'node:tls'
import type { Certificates, TlsByCertificates } from '../connect-options.ts'
import { isLoopback, plainHost } from './address.ts'

/**
 * `default`: by the secret, except between addresses of the loopback interface. `psk`: by the secret, everywhere. `off`:
 * nowhere. Certificates: everywhere.
 */
export type TlsSetting = 'default' | 'psk' | 'off' | TlsByCertificates

export interface Encryption {
  /** Whether a connection with that address at its other end is encrypted. Both ends come to the same. */
  covers(remoteHost: string): boolean
  /** The end that was dialled. */
  accept(raw: Socket): Socket
  /** The end that dials, as net.connect; its event 'connect' means that the machine has answered, no more. */
  readonly connect: (options: TcpNetConnectOpts) => Socket
}

const IDENTITY = 'adasum'
/** Fast with the instructions of today's processors, and without them; both have the hash that Node.js binds such a key to. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256'
const PROTOCOL = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: CIPHERS } as const
const BINDING_LABEL = 'EXPORTER-Channel-Binding'
const BINDING_BYTE_LENGTH = 32

/**
 * @param secret - not empty, unless there are certificates
 * @throws the error of OpenSSL for certificates that it cannot read
 */
export function encryptionOf(secret: string, setting: Exclude<TlsSetting, 'off'>): Encryption {
  const covers = (remoteHost: string): boolean => setting !== 'default' || !isLoopback(plainHost(remoteHost))
  return { covers, ...(typeof setting === 'object' ? byCertificates(setting.certificates) : bySecret(secret)) }
}

type Ends = Omit<Encryption, 'covers'>

function bySecret(secret: string): Ends {
  const psk = createHmac('sha256', secret).update('adasum tls psk\0').digest()
  const secureContext = createSecureContext({ ...PROTOCOL, secureOptions: constants.SSL_OP_NO_TICKET })
  // No type has the option for accepted sockets, which Node.js's own server gives them.
  const accepting = { secureContext, pskCallback: () => psk } as TLSSocketOptions
  const dialling = { ...PROTOCOL, pskCallback: () => ({ psk, identity: IDENTITY }) }
  return {
    accept: (raw) => acceptedSocket(raw, accepting),
    connect: (options) => dialledSocket(options, dialling),
  }
}

function byCertificates(certificates: Certificates): Ends {
  // An authority that cannot be read would be left out without a word.
  for (const text of [certificates.ca, certificates.cert]) new X509Certificate(text)
  const secureContext = createSecureContext({
    ...PROTOCOL,
    ...certificates,
    secureOptions: constants.SSL_OP_NO_TICKET,
  })
  return {
    accept(raw) {
      const socket = acceptedSocket(raw, { secureContext, requestCert: true, rejectUnauthorized: true })
      socket.once('secure', () => {
        const error = verifyErrorOf(socket)
        if (error) socket.destroy(error)
      })
      return socket
    },
    connect: (options) => dialledSocket(options, { secureContext, rejectUnauthorized: true }),
  }
}

function acceptedSocket(raw: Socket, options: TLSSocketOptions): TLSSocket {
  // The server's own option of half-open sockets is that of the raw one.
  return marked(new TLSSocket(raw, { ...options, isServer: true, ...{ allowHalfOpen: true } }))
}

/** Sockets whose ends have not come to a key yet. */
const pending = new WeakSet<Socket>()

function marked(socket: TLSSocket): TLSSocket {
  pending.add(socket)
  return socket.once('secure', () => pending.delete(socket))
}

/** Calls back at once, or when the ends have come to a key: an end before that would end the attempt itself. */
export function whenSecure(socket: Socket, then: () => void): void {
  if (pending.has(socket)) socket.once('secure', then)
  else then()
}

function dialledSocket(options: TcpNetConnectOpts, tls: ConnectionOptions): Socket {
  const socket = marked(connect({ ...(options as ConnectionOptions), ...tls, checkServerIdentity: () => undefined }))
  // tls.connect does not tell its socket of these options.
  const { noDelay, keepAlive, keepAliveInitialDelay } = options
  if (noDelay === true) socket.setNoDelay(true)
  if (keepAlive === true) socket.setKeepAlive(true, keepAliveInitialDelay)
  return socket
}

/** Node.js's server asks for it by the same way, and offers no other to whoever accepts sockets himself. */
function verifyErrorOf(socket: TLSSocket): Error | null | undefined {
  return (socket as unknown as { ssl: { verifyError(): Error | null | undefined } }).ssl.verifyError()
}

function isEncrypted(socket: Socket): socket is TLSSocket {
  return 'exportKeyingMaterial' in socket
}

/** What only the two ends of an encrypted connection have, once they have heard of each other; nothing of another one. */
export function channelBindingOf(socket: Socket): Uint8Array | undefined {
  if (!isEncrypted(socket)) return undefined
  return socket.exportKeyingMaterial(BINDING_BYTE_LENGTH, BINDING_LABEL, Buffer.alloc(0))
}
