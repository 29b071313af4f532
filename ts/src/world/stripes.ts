/**
 * How the connections of a striped pipe (transport/striped.ts) find each other. The dialling end opens all of them,
 * each with its own handshake. On each it first sends a label, which says to which pipe the connection belongs, and
 * which of its connections it is:
 *
 *     label (20)   id of the pipe (16 random bytes), index u16, count u16; big-endian
 *
 * A single connection has no label.
 */
import { randomBytes } from '#platform'
import { hexOf, viewOf } from '../bytes.ts'
import { within } from '../timing/patience.ts'
import type { Pipe } from '../transport/transport.ts'
import { StripedPipe } from '../transport/striped.ts'
import type { OnPeer } from '../wire/acceptor.ts'
import { ExactReader } from '../wire/exact-reader.ts'

const ID_BYTE_LENGTH = 16
export const LABEL_BYTE_LENGTH: number = ID_BYTE_LENGTH + 4

/** How many incomplete pipes one peer may have. */
const INCOMPLETE_LIMIT = 64
/** How long the rest of a pipe may take to come when this end closes. */
const CLOSING_MS = 500

export function encodeLabel(id: Uint8Array, index: number, count: number): Uint8Array {
  const label = new Uint8Array(LABEL_BYTE_LENGTH)
  label.set(id)
  const view = viewOf(label)
  view.setUint16(ID_BYTE_LENGTH, index)
  view.setUint16(ID_BYTE_LENGTH + 2, count)
  return label
}

/**
 * Opens `count` connections as one. Rejects as the first `dial` that fails does, with none left open.
 *
 * @param stripeByteLength - other than the usual one, which is the same for all
 */
export async function dialStriped(count: number, dial: () => Promise<Pipe>, stripeByteLength?: number): Promise<Pipe> {
  if (count === 1) return dial()
  const outcomes = await Promise.allSettled(Array.from({ length: count }, () => dial()))
  const pipes = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed) {
    for (const pipe of pipes) pipe.destroy()
    throw failed.reason
  }
  const id = randomBytes(ID_BYTE_LENGTH)
  for (const [index, pipe] of pipes.entries()) pipe.write(encodeLabel(id, index, count))
  return new StripedPipe(pipes, stripeByteLength)
}

/** A pipe of which some connections have come. */
interface IncompletePipe {
  readonly peerRank: number
  readonly pipes: Map<number, Pipe>
}

/** Joins the connections that peers dial. */
export class StripeGathering {
  readonly #count: number
  readonly #onPeer: OnPeer
  readonly #stripeByteLength: number | undefined
  readonly #incomplete = new Map<string, IncompletePipe>()
  /** Connections whose labels have not come. */
  readonly #unlabelled = new Set<Pipe>()
  #onGathered: () => void = () => undefined

  /** @param onPeer - takes complete pipes */
  constructor(count: number, onPeer: OnPeer, stripeByteLength?: number) {
    this.#count = count
    this.#onPeer = onPeer
    this.#stripeByteLength = stripeByteLength
  }

  accept(peerRank: number, pipe: Pipe, groupId: string): void {
    if (this.#count === 1) return this.#onPeer(peerRank, pipe, groupId)
    // Unreferenced, so that a script that forgets to close its communicator still ends.
    pipe.unref()
    this.#unlabelled.add(pipe)
    new ExactReader(pipe).read(LABEL_BYTE_LENGTH).then(
      (label) => this.#onLabel(peerRank, pipe, groupId, label),
      () => this.#drop([pipe]),
    )
  }

  /** Waits a moment for the rest of incomplete pipes, then closes them. */
  async close(): Promise<void> {
    const hasGathered = new Promise<void>((resolve) => (this.#onGathered = resolve))
    this.#lookWhetherGathered()
    await within(CLOSING_MS, hasGathered)
    this.#drop([...this.#unlabelled])
    for (const [key, { pipes }] of this.#incomplete) this.#forget(key, [...pipes.values()])
  }

  #onLabel(peerRank: number, pipe: Pipe, groupId: string, label: Uint8Array): void {
    // Closed meanwhile.
    if (!this.#unlabelled.delete(pipe)) return
    const view = viewOf(label)
    const [index, count] = [view.getUint16(ID_BYTE_LENGTH), view.getUint16(ID_BYTE_LENGTH + 2)]
    const key = `${peerRank} ${groupId} ${hexOf(label.subarray(0, ID_BYTE_LENGTH))}`
    const one = this.#incomplete.get(key) ?? { peerRank, pipes: new Map<number, Pipe>() }
    const isWrong = count !== this.#count || index >= count || one.pipes.has(index)
    if (isWrong || (one.pipes.size === 0 && this.#incompleteCountOf(peerRank) >= INCOMPLETE_LIMIT))
      return this.#forget(key, [pipe, ...one.pipes.values()])
    this.#incomplete.set(key, one)
    one.pipes.set(index, pipe)
    // If one connection breaks before all have come, the others are closed, too.
    void pipe.closed.then(() => this.#incomplete.get(key) === one && this.#forget(key, [...one.pipes.values()]))
    if (one.pipes.size < count) return
    this.#incomplete.delete(key)
    const inOrder = [...one.pipes].sort(([a], [b]) => a - b).map(([, each]) => each)
    for (const each of inOrder) each.ref()
    this.#onPeer(peerRank, new StripedPipe(inOrder, this.#stripeByteLength), groupId)
    this.#lookWhetherGathered()
  }

  #lookWhetherGathered(): void {
    if (this.#incomplete.size + this.#unlabelled.size === 0) this.#onGathered()
  }

  #forget(key: string, pipes: readonly Pipe[]): void {
    this.#incomplete.delete(key)
    this.#drop(pipes)
  }

  #drop(pipes: readonly Pipe[]): void {
    for (const pipe of pipes) {
      this.#unlabelled.delete(pipe)
      pipe.destroy()
    }
    this.#lookWhetherGathered()
  }

  #incompleteCountOf(peerRank: number): number {
    return [...this.#incomplete.values()].filter((one) => one.peerRank === peerRank).length
  }
}
