/**
 * How a peer leaves a link: with a goodbye, or without a word.
 *
 * A peer sends GOODBYE behind its data, on the connection that this rank reads; if that is not open at the peer's end,
 * it sends it on the other one. A failing peer sends ABORT on both, since it may be in the middle of a large payload on
 * one. So when one connection ends without a word, or the peer cannot be dialled, the explanation may still come on the
 * other connection. The peer counts as lost when both have ended, or after a moment of silence.
 */
import { nextTurn } from '#platform'
import type { AdasumError } from '../errors.ts'
import { patientTimeout } from '../timing/patience.ts'
import { isMessage } from './numbering.ts'

/** How long this rank waits for an explanation on the other connection, counted from the last byte that came there. */
const EXPLANATION_MS = 1000

export interface PartingOwner {
  /** Whether the peer has dialled this rank, and so may explain itself there. */
  readonly hasDialled: () => boolean
  /** Whether this rank has let go of the link itself. */
  readonly hasEnded: () => boolean
  /** Completes the offers that the peer has read without having sent DONE. Returns whether there were any. */
  readonly settleRead: () => boolean
  /** The peer has gone without a word. */
  readonly onLost: (reason: string, error?: Error) => void
  /** The peer cannot be dialled: calls that wait for it fail. */
  readonly onUnreachable: (error: AdasumError) => void
}

export class Parting {
  readonly #owner: PartingOwner
  /** The peer's last collective, once it has said goodbye. */
  lastSequence: number | undefined
  /** Why the peer cannot be dialled. */
  dialError: AdasumError | undefined
  /** Whether one of the connections has ended without a word, or could not be opened. */
  #isHalfEnded = false
  /**
   * When the last bytes came on the connection that this rank reads, as performance.now() gives it; 0 if none have
   * come.
   */
  heardAt = 0

  constructor(owner: PartingOwner) {
    this.#owner = owner
  }

  /** Bytes have come on the connection that this rank reads. */
  onHeard(): void {
    this.heardAt = performance.now()
  }

  /** Whether the peer has closed after it had completed that collective. */
  isOver(sequence: number): boolean {
    return this.lastSequence !== undefined && !isMessage(sequence) && sequence <= this.lastSequence
  }

  get #isExplained(): boolean {
    return this.lastSequence !== undefined || this.#owner.hasEnded()
  }

  /** The peer could not be dialled. */
  onDialError(error: AdasumError): void {
    const fail = (): void => {
      if (this.#isExplained) return
      this.dialError = error
      this.#owner.onUnreachable(error)
    }
    if (this.#isExplained) return
    if (this.#isHalfEnded) return this.onUnexplainedEnd('its connection ended without a goodbye', error)
    this.#isHalfEnded = true
    if (this.#owner.hasDialled()) this.#afterSilence(fail)
    else fail()
  }

  /** One of the connections has ended without a word. */
  onUnexplainedEnd(reason: string, error?: Error): void {
    const lost = (): void => {
      if (!this.#isExplained) this.#owner.onLost(reason, error)
    }
    const lose = (): void => {
      // Calls that need nothing more of the peer may end before it counts as lost.
      if (this.#owner.settleRead()) void nextTurn().then(lost)
      else lost()
    }
    if (this.#isExplained) return
    if (this.#isHalfEnded) return lose()
    this.#isHalfEnded = true
    this.#afterSilence(lose)
  }

  /** Acts once nothing has come for EXPLANATION_MS: over a slow network, bytes may still be on their way. */
  #afterSilence(action: () => void): void {
    const begin = performance.now()
    const look = (): void => (this.heardAt > begin ? this.#afterSilence(action) : action())
    patientTimeout(look, EXPLANATION_MS, false)
  }
}
