/**
 * Byte pipes between ranks: one interface for TCP, Unix sockets, memory and several connections as one, one compliance suite
 * for all.
 *
 * A pipe carries bytes in both directions and knows nothing of frames. Its reader is asked for memory before the bytes
 * come, so that a transport can read straight into the destination.
 */

/** Receives a pipe's bytes. Its methods must not throw: there is nobody to catch it. */
export interface Sink {
  /**
   * Where the next bytes go; never empty. The transport may hold on to the memory until the bytes have come or the pipe
   * is closed, so it must not be memory that anybody gets back before `closed` has settled.
   */
  target(): Uint8Array
  /**
   * Where the byte goes that comes `distance` bytes after the next one, and those behind it, if that is known already and will
   * not change. A pipe of several connections reads what comes out of turn straight to there; absent, it reads in order.
   */
  ahead?(distance: number): Uint8Array | undefined
  /** The first `byteLength` bytes of the last target have been filled. */
  filled(byteLength: number): void
  /**
   * No more bytes will come: the other end ended the pipe (no error), or it broke or was destroyed at this end (an
   * error). Called once, after the last byte, on the sink that the pipe has then; never from inside `setSink`.
   */
  ended(error?: Error): void
}

export interface Pipe {
  /** Address of the other end, `host:port`. */
  readonly remoteAddress: string
  /** Address of this end, `host:port`. */
  readonly localAddress: string
  /**
   * Gives the pipe its reader, another one, or none. Takes effect with the next bytes: the sink before it is not called
   * again. While there is none the pipe keeps what comes, and stops reading at a limit.
   *
   * A transport that reads straight into a sink's target has asked for it one read ahead. So after a change of sinks
   * one more read may land in the old sink's memory, from where the pipe copies it to the new one; and a sink that
   * would now name another target sees that with the read after next.
   */
  setSink(sink: Sink | null): void
  /**
   * Sends bytes in order. They must not change before `done`, which is called exactly once: without an error when the
   * system has taken them all, or with one if the pipe broke.
   */
  write(bytes: Uint8Array, done?: (error?: Error) => void): void
  /** Ends this direction after everything written; a later write fails. */
  end(): void
  /**
   * Breaks the pipe at once; queued writes fail. Whether the other end sees an error or an ordinary end is left to the
   * system, so a protocol that must tell the two apart says goodbye before it ends.
   */
  destroy(): void
  /** Settles (never rejects) when no memory of a reader or writer is in use any more and both directions are finished. */
  readonly closed: Promise<void>
  /** Whether the pipe keeps the process alive; pipes start referenced. */
  ref(): void
  unref(): void
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting; pipes already accepted live on. */
  close(): Promise<void>
  ref(): void
  unref(): void
}

export interface Transport {
  readonly name: 'tcp' | 'memory' | 'unix'
  /** Port 0 chooses a free one. Rejects with the system's error if the address cannot be had. */
  listen(host: string, port: number, accept: (pipe: Pipe) => void): Promise<Listener>
  /** Rejects with the system's error if nobody listens there, or with signal.reason. */
  dial(host: string, port: number, signal?: AbortSignal): Promise<Pipe>
}
