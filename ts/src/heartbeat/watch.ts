/**
 * Decides which peers are lost, from what was heard of them and when. It reads no clock: all times are its caller's, in
 * milliseconds of a clock that never goes back.
 *
 * Silence alone is judged here. A connection that ends was ended by a system that still works, which tells whoever else
 * has a connection to that process, too; so its peer is no longer watched, and no longer suspected.
 */
import type { FailureLimits } from '../timing/failure-limits.ts'

interface Watched {
  /** When it was last heard, or when the wait for its first sign began. */
  heardAt: number
  /** For how long it may be silent. */
  readonly limitMs: number
  /** When data of it was last seen to have come over other connections. */
  dataAt: number
}

export class Watch {
  readonly #limits: FailureLimits
  readonly #watched = new Map<number, Watched>()

  constructor(limits: FailureLimits) {
    this.#limits = limits
  }

  /**
   * Begins to wait for a first sign of a peer.
   *
   * @param since - when its silence began
   * @param limitMs - for how long it may last
   */
  expect(peer: number, since: number, limitMs: number): void {
    this.#watched.set(peer, { heardAt: since, limitMs, dataAt: -Infinity })
  }

  /** A peer has given a sign of life. */
  hear(peer: number, now: number): void {
    const dataAt = this.#watched.get(peer)?.dataAt ?? -Infinity
    this.#watched.set(peer, { heardAt: now, limitMs: this.#limits.failureTimeoutMs, dataAt })
  }

  /**
   * Data of a peer has come since the last beat. It counts for a beat only: it may have lain in this process's memory for
   * as long as nobody read it.
   */
  noteData(peer: number, now: number): void {
    const watched = this.#watched.get(peer)
    if (watched) watched.dataAt = now
  }

  /** A peer is no longer watched. */
  forget(peer: number): void {
    this.#watched.delete(peer)
  }

  /**
   * This thread has not been running: whatever has come meanwhile has not been read. All peers get their whole time
   * anew.
   */
  onGap(now: number): void {
    for (const watched of this.#watched.values()) watched.heardAt = now
  }

  /** When the time of the first peer is up; infinity if none is watched. */
  get deadline(): number {
    return Math.min(...[...this.#watched.values()].map((watched) => this.#deadlineOf(watched)))
  }

  /** The peers whose time is up. */
  silent(now: number): number[] {
    return [...this.#watched].filter(([, watched]) => this.#deadlineOf(watched) <= now).map(([peer]) => peer)
  }

  #deadlineOf({ heardAt, limitMs, dataAt }: Watched): number {
    return Math.max(heardAt + limitMs, dataAt + this.#limits.beatMs)
  }
}
