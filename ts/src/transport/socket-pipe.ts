/**
 * Pipes over the sockets of node:net, whatever their addresses are.
 *
 * The end that dialled reads straight into its sink's memory (`onread` of net.connect), at the kernel's own speed. An
 * accepted socket cannot do that, and copies. So the end that expects the large transfers dials.
 *
 * Node asks for the buffer of the next read at the end of the read before it, and for the first one when the socket is
 * made. `LentTarget` remembers whose memory that is: when the pipe has changed its sink meanwhile, the bytes are copied
 * on to the new one. While there is no sink the socket reads into a small buffer of its own.
 */
import { connect, type NetConnectOpts, type Server, type Socket } from 'node:net'
import { systemError } from '../errors.ts'
import { Intake } from './intake.ts'
import { channelBindingOf, whenSecure } from './tls.ts'
import type { Pipe, Sink } from './transport.ts'

const SPILL_BYTE_LENGTH = 16 * 1024
/**
 * How many connections the system keeps until this process accepts them. All ranks of a group may dial at once, over
 * several connections each, while this process computes; a connection beyond the limit gets no answer, as if the
 * machine were gone. The system has a limit of its own (Linux: net.core.somaxconn, 4096).
 */
export const BACKLOG = 4096

/** The addresses of both ends, for messages. */
export interface Ends {
  readonly local: string
  readonly remote: string
}

/** The memory that the next read of a dialled socket fills. */
class LentTarget {
  readonly #intake: Intake
  readonly #onLost: () => void
  readonly #spill: Uint8Array = new Uint8Array(SPILL_BYTE_LENGTH)
  #lender: Sink | null = null
  #bytes: Uint8Array = this.#spill

  /** @param onLost - called when bytes have gone with memory that was transferred away */
  constructor(intake: Intake, onLost: () => void) {
    this.#intake = intake
    this.#onLost = onLost
  }

  nextBuffer(): Uint8Array {
    this.#lender = this.#intake.directSink
    this.#bytes = this.#lender?.target() ?? this.#spill
    return this.#bytes
  }

  /** @returns whether to go on reading */
  onRead(byteLength: number): boolean {
    const lender = this.#lender
    if (lender !== null && lender === this.#intake.directSink) lender.onFilled(byteLength)
    else if (this.#bytes.length < byteLength) this.#onLost()
    else this.#intake.take(this.#bytes.subarray(0, byteLength))
    return !this.#intake.isFull
  }
}

class SocketPipe implements Pipe {
  readonly remoteAddress: string
  readonly localAddress: string
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #intake: Intake
  #pendingWrites = 0
  #isEnding = false
  #isSocketClosed = false
  #error: Error | undefined
  #settleClosed: () => void = () => {}

  constructor(socket: Socket, intake: Intake, { local, remote }: Ends) {
    this.#socket = socket
    this.#intake = intake
    this.remoteAddress = remote
    this.localAddress = local
    this.closed = new Promise((resolve) => (this.#settleClosed = resolve))
    socket.on('error', (error) => (this.#error ??= error))
    socket.on('end', () => intake.finish())
    socket.on('close', () => this.#onClose())
  }

  channelBinding(): Uint8Array | undefined {
    return channelBindingOf(this.#socket)
  }

  setSink(sink: Sink | null): void {
    this.#intake.setSink(sink)
  }

  write(bytes: Uint8Array, done?: (error?: Error) => void): void {
    if (this.#isEnding || this.#socket.destroyed) {
      const error = this.#error ?? systemError('EPIPE', `write after the pipe to ${this.remoteAddress} was ended`)
      process.nextTick(() => done?.(error))
      return
    }
    this.#pendingWrites++
    this.#socket.write(bytes, (error) => {
      this.#pendingWrites--
      // Writes cut off by destroy are reported without an error.
      done?.(error ?? (this.#socket.destroyed ? this.#breakError() : undefined))
      this.#settle()
    })
  }

  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    whenSecure(this.#socket, () => this.#socket.end())
  }

  destroy(): void {
    if (this.#socket.destroyed) return
    this.#intake.drop()
    this.#socket.destroy()
  }

  ref(): void {
    this.#socket.ref()
  }

  unref(): void {
    this.#socket.unref()
  }

  #breakError(): Error {
    return this.#error ?? systemError('ECONNABORTED', `the pipe to ${this.remoteAddress} was destroyed`)
  }

  #onClose(): void {
    this.#isSocketClosed = true
    this.#intake.finish(this.#breakError())
    this.#settle()
  }

  #settle(): void {
    if (this.#isSocketClosed && this.#pendingWrites === 0) this.#settleClosed()
  }
}

/** An accepted socket: its chunks are copied to the sink; it is not read while there is no sink to take them. */
export function acceptedPipe(socket: Socket, ends: Ends): Pipe {
  const intake = new Intake(() => socket.resume())
  const pipe = new SocketPipe(socket, intake, ends)
  socket.on('data', (chunk: Buffer) => {
    intake.take(chunk)
    if (intake.isFull) socket.pause()
  })
  return pipe
}

/**
 * @param endsOf - asked once the socket is connected
 * @param open - as net.connect, which it is by default
 */
export function dialledPipe<Where extends NetConnectOpts>(
  where: Where,
  endsOf: (socket: Socket) => Ends,
  signal?: AbortSignal,
  open: (options: Where) => Socket = connect,
): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const intake = new Intake(() => socket.resume())
    const lent = new LentTarget(intake, () =>
      socket.destroy(systemError('ECONNABORTED', 'memory was transferred away')),
    )
    const onread = { buffer: () => lent.nextBuffer(), callback: (byteLength: number) => lent.onRead(byteLength) }
    const socket = open({ ...where, allowHalfOpen: true, onread })
    const abort = () => {
      socket.destroy()
      reject(signal?.reason)
    }
    const fail = (error: Error) => {
      signal?.removeEventListener('abort', abort)
      reject(error)
    }
    signal?.addEventListener('abort', abort, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      signal?.removeEventListener('abort', abort)
      socket.removeListener('error', fail)
      resolve(new SocketPipe(socket, intake, endsOf(socket)))
    })
  })
}

/** Settles when the port is free; net.Server's own 'close' event waits for every pipe that it ever accepted. */
export function closeServer(server: Server): Promise<void> {
  server.close(() => {})
  return new Promise((resolve) => setImmediate(resolve))
}
