/**
 * How a peer leaves a link: in good order, with a goodbye, or without a word.
 *
 * A peer says GOODBYE behind its data on the connection that is read from it; or, if that is not open at its end, on the one
 * that is written to it. A failing peer says ABORT on both, since it may be in the middle of a large payload on one. So the
 * end of one connection without a word may still be explained on the other, and so may a peer that can no longer be dialled:
 * it is lost when both have ended, or after a moment.
 */
import { nextTurn } from '#platform'
import type { AdasumError } from '../errors.ts'
import { patientTimeout } from '../timing/patience.ts'
import { isMessage } from './numbering.ts'

/** How long the end of one connection may stay without an explanation on the other, nor anything else coming there. */
const EXPLANATION_MS = 1000

export interface PartingOwner {
  /** Whether the peer has dialled this rank, and so may explain itself there. */
  readonly hasDialled: () => boolean
  /** Whether this rank has let go of the link itself. */
  readonly hasEnded: () => boolean
  /** Ends what the peer had finished, if it had no time to say so; whether there was any. */
  readonly settleFinished: () => boolean
  /** The peer is gone without a word. */
  readonly lost: (reason: string, error?: Error) => void
  /** The peer cannot be dialled: calls that wait for it fail. */
  readonly unreachable: (error: AdasumError) => void
}

export class Parting {
  readonly #owner: PartingOwner
  /** The peer's last collective, once it has said goodbye. */
  lastSequence: number | undefined
  /** Why the peer cannot be dialled. */
  dialError: AdasumError | undefined
  #isHalfEnded = false
  /** When the connection that is read last brought something, as performance.now() has it; 0 if it has not. */
  heardAt = 0

  constructor(owner: PartingOwner) {
    this.#owner = owner
  }

  heard(): void {
    this.heardAt = performance.now()
  }

  /** Whether the peer has closed, and was through with that collective before. */
  isOver(sequence: number): boolean {
    return this.lastSequence !== undefined && !isMessage(sequence) && sequence <= this.lastSequence
  }

  get #isExplained(): boolean {
    return this.lastSequence !== undefined || this.#owner.hasEnded()
  }

  /** The peer could not be dialled. */
  couldNotDial(error: AdasumError): void {
    const fail = (): void => {
      if (this.#isExplained) return
      this.dialError = error
      this.#owner.unreachable(error)
    }
    if (this.#isExplained) return
    if (this.#isHalfEnded) return this.unexplained('its connection ended without a goodbye', error)
    this.#isHalfEnded = true
    if (this.#owner.hasDialled()) this.#afterSilence(fail)
    else fail()
  }

  /** One of the connections has ended without a word. */
  unexplained(reason: string, error?: Error): void {
    const lost = (): void => {
      if (!this.#isExplained) this.#owner.lost(reason, error)
    }
    const lose = (): void => {
      // What the peer has read is with it, if it had no time to say so: calls that need no more of it may end.
      if (this.#owner.settleFinished()) void nextTurn().then(lost)
      else lost()
    }
    if (this.#isExplained) return
    if (this.#isHalfEnded) return lose()
    this.#isHalfEnded = true
    this.#afterSilence(lose)
  }

  /** What the peer wrote before it closed may still be on its way over a slow network. */
  #afterSilence(action: () => void): void {
    const begin = performance.now()
    const look = (): void => (this.heardAt > begin ? this.#afterSilence(action) : action())
    patientTimeout(look, EXPLANATION_MS, false)
  }
}
