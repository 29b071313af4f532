/**
 * Byte pipes between ranks: one interface for TCP, Unix sockets, memory and several connections as one, one compliance
 * suite for all.
 *
 * A pipe carries bytes in both directions and knows nothing of frames. Its reader is asked for memory before the bytes
 * come, so that a transport can read straight into the destination.
 */

/** Receives a pipe's bytes. Its methods must not throw, because nobody would catch the error. */
export interface Sink {
  /**
   * The memory for the next bytes; never empty. The transport may keep it until the bytes have come or the pipe is
   * closed, so the sink must not give that memory to anybody else before then.
   */
  target(): Uint8Array
  /**
   * The memory for the bytes that begin `distance` bytes after the next one; undefined if their destination is not
   * known yet. A pipe of several connections reads bytes that come before their turn straight into it. Without this
   * method it reads in order.
   */
  targetAhead?(distance: number): Uint8Array | undefined
  /** The first `byteLength` bytes of the last target have been filled. */
  onFilled(byteLength: number): void
  /**
   * No more bytes will come: the other end ended the pipe (no error), or it broke or was destroyed at this end (an
   * error). Called once, after the last byte, on the sink that the pipe has then; never from inside `setSink`.
   */
  onEnd(error?: Error): void
}

export interface Pipe {
  /** Address of the other end, `host:port`. */
  readonly remoteAddress: string
  /** Address of this end, `host:port`. */
  readonly localAddress: string
  /**
   * What only the two ends of this very connection have, where it is encrypted; undefined, or no such method, where it is
   * not. Asked once a byte has come.
   */
  channelBinding?(): Uint8Array | undefined
  /**
   * Sets the pipe's reader, or removes it (null). This takes effect with the next bytes, and the previous sink is not
   * called again. Without a sink the pipe keeps what comes, and stops reading at a limit.
   *
   * A transport that reads straight into a sink's target asks for the target one read ahead. So after a change of sinks
   * one more read may go to the old sink's memory, from where the pipe copies it to the new sink. For the same reason,
   * when a sink changes its target, the change takes effect with the read after the next one.
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
  /**
   * Settles (never rejects) when no memory of a reader or writer is in use any more and both directions are finished.
   */
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

/** How soon a dial, and the connection that it opens, find out that the other machine is gone. */
export interface DialLimits {
  /** How long an address may be silent. */
  readonly answerMs?: number
  /** After how long the system probes the connection if it is idle. */
  readonly keepAliveMs?: number
}

/** How a listener treats connections on which nothing has come. */
export interface ListenLimits {
  /**
   * The dialling end speaks first: until it does, a connection is handed to nobody, and may have to make room for others.
   */
  readonly diallerSpeaksFirst?: boolean
}

export interface Transport {
  readonly name: 'tcp' | 'memory' | 'unix'
  /** Port 0 chooses a free one. Rejects with the system's error if the address cannot be had. */
  listen(host: string, port: number, accept: (pipe: Pipe) => void, limits?: ListenLimits): Promise<Listener>
  /** Rejects with the system's error if nobody listens there, or with signal.reason. */
  dial(host: string, port: number, signal?: AbortSignal, limits?: DialLimits): Promise<Pipe>
}
