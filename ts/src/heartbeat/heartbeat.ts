/** A world's heartbeat, as its main thread sees it. */
import { type HeartbeatAddress, type HeartbeatIdentity } from './lines.ts'
import type { Loss } from './messages.ts'
import { beginPulse } from './runner.ts'

export interface HeartbeatOptions extends HeartbeatIdentity {
  /** By rank, this one included. */
  readonly peers: readonly HeartbeatAddress[]
  /** The address of this machine at which it listens. */
  readonly host: string
  readonly failureTimeoutMs: number
  /** Called once for every rank that is lost; that may be this rank, which others have lost. */
  readonly onLoss: (loss: Loss) => void
}

export class Heartbeat {
  readonly #heardCounts: Uint32Array
  readonly #pulse: ReturnType<typeof beginPulse>
  /** How many calls wait for a rank. */
  readonly #waiting = new Map<number, number>()

  constructor({ onLoss, ...options }: HeartbeatOptions) {
    this.#heardCounts = new Uint32Array(new SharedArrayBuffer(options.size * Uint32Array.BYTES_PER_ELEMENT))
    this.#pulse = beginPulse({ ...options, heardCounts: this.#heardCounts }, onLoss)
  }

  /** A part of a frame has come from a rank, which is a sign of life. */
  hear(rank: number): void {
    Atomics.add(this.#heardCounts, rank, 1)
  }

  /**
   * A call waits for these ranks, and nothing moves: if that goes on, this rank looks itself whether they are alive.
   *
   * @returns ends that
   */
  watch(ranks: readonly number[]): () => void {
    for (const rank of ranks) this.#count(rank, 1, 'ask')
    return () => {
      for (const rank of ranks) this.#count(rank, -1, 'unask')
    }
  }

  #count(rank: number, change: 1 | -1, first: 'ask' | 'unask'): void {
    const count = (this.#waiting.get(rank) ?? 0) + change
    this.#waiting.set(rank, count)
    if (count === (change > 0 ? 1 : 0)) this.#pulse.tell(first, rank)
  }

  /** Ends it; nothing is left of it a moment later. */
  close(): void {
    this.#pulse.end()
  }
}
