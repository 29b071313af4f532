/**
 * Pipes over TCP.
 *
 * Keep-alive. The system sends a probe over a connection that has been idle for some seconds, and breaks it when ten
 * probes, a second apart, get no answer. So the connections of a machine that has vanished break in the end, where no
 * heartbeat finds it sooner, whatever JavaScript does meanwhile; and those of a process that only computes do not. Node
 * sets the first number, libuv the others where the system has them. The system sends no probes while own data is
 * unacknowledged, so this works on connections that this end only reads. A pair of ranks always has one of these.
 */
import { createServer, isIP, type Socket } from 'node:net'
import { systemCode, systemError } from '../errors.ts'
import { formatAddress, plainHost } from './address.ts'
import { Limit } from '../timing/limit.ts'
import { joinListeners } from './listeners.ts'
import { Lobby } from './lobby.ts'
import { addressesOf, AddressesError, firstOf, type Lookup, systemLookup } from './names.ts'
import { BACKLOG, type Ends, acceptedPipe, closeServer, dialledPipe } from './socket-pipe.ts'
import type { Encryption } from './tls.ts'
import type { DialLimits, Listener, ListenLimits, Pipe, Transport } from './transport.ts'

/** Where nothing else is asked for; the system itself would wait for an answer for two minutes and more. */
const DEFAULT_LIMITS = { answerMs: 10_000, keepAliveMs: 10_000 } satisfies DialLimits
const keepAlive = (initialDelayMs: number) => ({ keepAlive: true, keepAliveInitialDelay: initialDelayMs })
/** How many free ports are tried where one must be free at several addresses. */
const FREE_PORT_TRIES = 20

interface Listening extends ListenLimits {
  readonly accept: (pipe: Pipe) => void
  readonly encryption: Encryption | undefined
}

export interface TcpOptions {
  /** How names become addresses. */
  readonly lookup?: Lookup
  readonly encryption?: Encryption | undefined
}

type Dialling = Required<DialLimits> & Pick<TcpOptions, 'encryption'>

function endsOf(socket: Socket): Ends {
  return {
    local: formatAddress(socket.localAddress ?? 'unknown', socket.localPort ?? 0),
    remote: formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0),
  }
}

async function dialAddress(
  host: string,
  port: number,
  { answerMs, keepAliveMs, encryption }: Dialling,
  signal?: AbortSignal,
): Promise<Pipe> {
  const limit = new Limit(answerMs, signal)
  const open = encryption?.covers(host) ? encryption.connect : undefined
  try {
    return await dialledPipe({ host, port, noDelay: true, ...keepAlive(keepAliveMs) }, endsOf, limit.signal, open)
  } catch (error) {
    if (!limit.signal.aborted || signal?.aborted === true) throw error
    throw systemError('ETIMEDOUT', `${formatAddress(host, port)} gave no answer within ${answerMs} ms`)
  } finally {
    limit.release()
  }
}

function listenAt(host: string, port: number, listening: Listening): Promise<Listener> {
  const { accept, encryption, diallerSpeaksFirst = false } = listening
  const enter = (socket: Socket): void => {
    // Already gone again: there is nobody to talk to.
    if (socket.remoteAddress === undefined) return void socket.destroy()
    const isCovered = encryption?.covers(socket.remoteAddress) === true
    accept(acceptedPipe(isCovered ? encryption.accept(socket) : socket, endsOf(socket)))
  }
  const lobby = new Lobby(enter)
  return new Promise((resolve, reject) => {
    const server = createServer(
      { noDelay: true, allowHalfOpen: true, ...keepAlive(DEFAULT_LIMITS.keepAliveMs) },
      (socket) => (diallerSpeaksFirst ? lobby.receive(socket) : enter(socket)),
    )
    server.once('error', reject)
    server.listen({ host, port, backlog: BACKLOG, exclusive: true }, () => {
      server.removeListener('error', reject)
      // Out of file descriptors, say: the connection is refused, the listener lives on.
      server.on('error', () => {})
      const bound = server.address()
      if (bound === null || typeof bound === 'string') return reject(new Error(`no address for ${host}:${port}`))
      resolve({
        host: plainHost(bound.address),
        port: bound.port,
        close: async () => {
          await closeServer(server)
          lobby.empty()
        },
        ref: () => void server.ref(),
        unref: () => void server.unref(),
      })
    })
  })
}

/** Whether an address of a name is another machine's, or of a family that this machine does not have. */
const isElsewhere = (error: unknown): boolean => ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(systemCode(error) ?? '')

/** Listens at one port, at all addresses that are this machine's. */
async function listenAtAll(addresses: readonly string[], port: number, listening: Listening): Promise<Listener> {
  const listeners: Listener[] = []
  const failures = new Map<string, unknown>()
  try {
    for (const address of addresses) {
      try {
        listeners.push(await listenAt(address, listeners[0]?.port ?? port, listening))
      } catch (error) {
        failures.set(address, error)
        if (!isElsewhere(error)) throw new AddressesError(new Map([[address, error]]))
      }
    }
    if (listeners.length === 0) throw new AddressesError(failures)
    return joinListeners(listeners)
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()))
    throw error
  }
}

async function listenAtFreePort(addresses: readonly string[], listening: Listening): Promise<Listener> {
  for (let tries = 1; ; tries++) {
    try {
      return await listenAtAll(addresses, 0, listening)
    } catch (error) {
      // The port that was free at the first address is taken at the next.
      if (systemCode(error) !== 'EADDRINUSE' || tries === FREE_PORT_TRIES) throw error
    }
  }
}

export function tcpTransport({ lookup = systemLookup, encryption }: TcpOptions = {}): Transport {
  return {
    name: 'tcp',
    async listen(host, port, accept, limits) {
      const listening = { ...limits, accept, encryption }
      if (isIP(host) !== 0) return listenAt(host, port, listening)
      const addresses = await addressesOf(host, lookup)
      return port === 0 ? listenAtFreePort(addresses, listening) : listenAtAll(addresses, port, listening)
    },
    async dial(host, port, signal, given) {
      const dialling = { ...DEFAULT_LIMITS, ...given, encryption }
      if (isIP(host) !== 0) return dialAddress(host, port, dialling, signal)
      const attempt = (address: string, within: AbortSignal): Promise<Pipe> =>
        dialAddress(address, port, dialling, within)
      return firstOf(await addressesOf(host, lookup, signal), attempt, (late) => late.destroy(), signal)
    },
  }
}

export const tcp: Transport = tcpTransport()
