/**
 * Byte pipes between ranks: one interface for TCP and for memory, one compliance suite for both.
 *
 * A pipe carries bytes in both directions and knows nothing of frames. Its reader is asked for memory before the bytes
 * come, so that a transport can read straight into the destination.
 */

/** Receives a pipe's bytes. */
export interface Sink {
  /**
   * Where the next bytes go; never empty. The transport may hold on to the memory until the bytes have come or the pipe
   * is closed, so it must not be memory that anybody gets back before `closed` has settled.
   */
  target(): Uint8Array
  /** The first `byteLength` bytes of the last target have been filled. */
  filled(byteLength: number): void
  /** No more bytes will come: the other end ended the pipe (no error) or it broke. Called at most once. */
  ended(error?: Error): void
}

export interface Pipe {
  /** Address of the other end, `host:port`. */
  readonly remoteAddress: string
  /** Address of this end, `host:port`. */
  readonly localAddress: string
  /** Gives the pipe its reader, or another one: takes effect with the next bytes. Bytes that came before are kept. */
  setSink(sink: Sink): void
  /**
   * Sends bytes in order. They must not change before `done`, which is called exactly once: without an error when the
   * system has taken them all, or with one if the pipe broke.
   */
  write(bytes: Uint8Array, done?: (error?: Error) => void): void
  /** Ends this direction after everything written. */
  end(): void
  /** Breaks the pipe at once; queued writes fail. */
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
  readonly name: 'tcp' | 'memory'
  /** Port 0 chooses a free one. Rejects with the system's error if the address cannot be had. */
  listen(host: string, port: number, accept: (pipe: Pipe) => void): Promise<Listener>
  /** Rejects with the system's error if nobody listens there, or with signal.reason. */
  dial(host: string, port: number, signal?: AbortSignal): Promise<Pipe>
}
