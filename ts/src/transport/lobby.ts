/**
 * Where accepted connections wait for their first bytes. A rank speaks at once, and whoever says nothing costs this
 * process a socket and no more: no pipe, no handshake and no encryption begin before. Those that are silent are limited
 * in number and in time.
 */
import type { Socket } from 'node:net'
import { Crowd } from './crowd.ts'
import { hasRoom } from './open-files.ts'

/** How many may be silent at a time, and which part of the files that this process may have open. */
const PLACES = 128
const SHARE = 1 / 16
const SILENCE_MS = 5000

export class Lobby {
  readonly #enter: (socket: Socket) => void
  readonly #silent = new Crowd<Socket>()

  /** @param enter - takes connections on which something has come */
  constructor(enter: (socket: Socket) => void) {
    this.#enter = enter
  }

  receive(socket: Socket): void {
    const host = socket.remoteAddress
    // Already gone again: there is nobody to talk to.
    if (host === undefined) return void socket.destroy()
    if (!hasRoom(this.#silent.size, SHARE, PLACES)) this.#silent.leastWanted!.destroy()
    this.#silent.add(host, socket)
    const leave = (): boolean => this.#silent.delete(host, socket)
    socket.unref().setTimeout(SILENCE_MS, () => socket.destroy())
    // A stranger's connection that breaks is nobody's loss.
    socket.on('error', ignore).once('close', leave)
    socket.once('readable', () => {
      socket.removeListener('close', leave)
      leave()
      // It has ended without a word.
      if (socket.readableLength === 0) socket.destroy()
      else this.#admit(socket)
    })
  }

  /** Lets everybody in, for whoever listens no more: a rank's first bytes may be on their way. */
  empty(): void {
    for (const socket of [...this.#silent]) {
      this.#silent.delete(socket.remoteAddress!, socket)
      socket.removeAllListeners('readable')
      this.#admit(socket)
    }
  }

  #admit(socket: Socket): void {
    socket.setTimeout(0).removeAllListeners('timeout')
    this.#enter(socket.ref())
  }
}

const ignore = (): void => undefined
