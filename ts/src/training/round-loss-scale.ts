/**
 * The loss scale in mode `delta`, where a rank may find an overflow that no other knows of until the next exchange.
 *
 * All ranks begin a round with the same scale. A rank whose gradients overflow skips its step and lowers its own scale at
 * once, so that the round's other steps need not overflow, too; the others go on. How many steps a rank has skipped rides
 * in the exchange. Then all forget what they did by themselves, and lower the common scale as often as the rank has that
 * skipped most, or count the round's steps as good ones if no rank has skipped any.
 */
import type { Exchange } from './flat-exchange.ts'
import type { LossScaler, LossScaleState } from './loss-scaler.ts'

export class RoundLossScale {
  readonly #scaler: LossScaler
  #start: LossScaleState
  #skippedSteps = 0

  constructor(scaler: LossScaler) {
    this.#scaler = scaler
    this.#start = scaler.state()
  }

  begin(): void {
    this.#start = this.#scaler.state()
    this.#skippedSteps = 0
  }

  /** Takes in the gradients of a step of this rank. */
  takeIn(isFinite: boolean): void {
    if (isFinite) return
    this.#skippedSteps++
    this.#scaler.record(false)
    this.#scaler.update()
  }

  /** What the other ranks must know. */
  get notes(): readonly number[] {
    return [this.#skippedSteps]
  }

  /** Goes back to the common scale, before ranks compare or change it. */
  rewind(): void {
    this.#scaler.restore(this.#start)
  }

  /** @param steps - of the round, the skipped ones included */
  end({ notes }: Exchange, steps: number): void {
    const skipped = Math.max(...notes.map((note) => note?.[0] ?? 0))
    for (let i = 0; i < (skipped || steps); i++) {
      this.#scaler.record(skipped === 0)
      this.#scaler.update()
    }
  }
}
