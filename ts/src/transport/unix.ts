/**
 * Pipes over Unix sockets, between processes of one machine: a round trip costs less than over TCP.
 *
 * The sockets are abstract, so there is no file that a crash could leave behind; only Linux has these. Their name is made of
 * a key, which whoever listens chooses at random and tells those that may dial, and of the address at which the same rank
 * listens by TCP, which is what messages call it. The name keeps strangers off no more than a port does: the handshake does
 * that.
 */
import { createHash, randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { formatAddress } from './address.ts'
import { BACKLOG, type Ends, acceptedPipe, closeServer, dialledPipe } from './socket-pipe.ts'
import type { Listener, Pipe, Transport } from './transport.ts'

/** Whether this system has abstract sockets. */
export const HAS_UNIX_TRANSPORT: boolean = process.platform === 'linux'

const HIGHEST_PORT = 65_535

function pathOf(key: string, host: string, port: number): string {
  const name = createHash('sha256')
    .update(`${key}\0${formatAddress(host, port)}`)
    .digest('hex')
    .slice(0, 32)
  return `\0adasum-${name}`
}

/** The end that dials has no name of its own. */
function endsOf(host: string, port: number, isDialler: boolean): Ends {
  const [dialler, listener] = [formatAddress(host, 0), formatAddress(host, port)]
  return isDialler ? { local: dialler, remote: listener } : { local: listener, remote: dialler }
}

function dial(key: string, host: string, port: number, signal?: AbortSignal): Promise<Pipe> {
  return dialledPipe({ path: pathOf(key, host, port) }, () => endsOf(host, port, true), signal)
}

function listen(key: string, host: string, wanted: number, accept: (pipe: Pipe) => void): Promise<Listener> {
  const port = wanted === 0 ? randomInt(1, HIGHEST_PORT) : wanted
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) =>
      accept(acceptedPipe(socket, endsOf(host, port, false))),
    )
    server.once('error', reject)
    server.listen({ path: pathOf(key, host, port), backlog: BACKLOG, exclusive: true }, () => {
      server.removeListener('error', reject)
      server.on('error', () => {})
      resolve({
        host,
        port,
        close: () => closeServer(server),
        ref: () => void server.ref(),
        unref: () => void server.unref(),
      })
    })
  })
}

/** @param key - known to those who are to meet */
export function unixTransport(key: string): Transport {
  return {
    name: 'unix',
    listen: (host, port, accept) => listen(key, host, port, accept),
    dial: (host, port, signal) => dial(key, host, port, signal),
  }
}
