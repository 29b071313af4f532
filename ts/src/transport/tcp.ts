/** Pipes over TCP. */
import { createServer, type Socket } from 'node:net'
import { formatAddress, plainHost } from './address.ts'
import { BACKLOG, type Ends, acceptedPipe, closeServer, dialledPipe } from './socket-pipe.ts'
import type { Listener, Pipe, Transport } from './transport.ts'

function endsOf(socket: Socket): Ends {
  return {
    local: formatAddress(socket.localAddress ?? 'unknown', socket.localPort ?? 0),
    remote: formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0),
  }
}

function dial(host: string, port: number, signal?: AbortSignal): Promise<Pipe> {
  return dialledPipe({ host, port, noDelay: true }, endsOf, signal)
}

function listen(host: string, port: number, accept: (pipe: Pipe) => void): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      // Already gone again: there is nobody to talk to.
      if (socket.remoteAddress === undefined) return socket.destroy()
      accept(acceptedPipe(socket, endsOf(socket)))
    })
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
        close: () => closeServer(server),
        ref: () => void server.ref(),
        unref: () => void server.unref(),
      })
    })
  })
}

export const tcp: Transport = { name: 'tcp', listen, dial }
