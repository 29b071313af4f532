/**
 * Pipes over Unix sockets, between processes of one machine: a round trip costs less than over TCP.
 *
 * The sockets are abstract, so there is no file that a crash could leave behind; only Linux has such sockets. A
 * socket's name is made of two things: a random key, which the listener tells those that may dial, and the address at
 * which the same rank listens by TCP, which messages show. The name protects no more than a port number does; the
 * handshake keeps strangers out.
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

/** The addresses of both ends. The dialling end has no socket name of its own, so it gets port 0. */
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

/** @param key - known to the listener and to those that may dial it */
export function unixTransport(key: string): Transport {
  return {
    name: 'unix',
    listen: (host, port, accept) => listen(key, host, port, accept),
    dial: (host, port, signal) => dial(key, host, port, signal),
  }
}
