/**
 * The delta form of a distributed step: every rank takes `localSteps` optimizer steps of its own from common weights,
 * and then all go on from
 *
 *     start + op(local - start)
 *
 * The optimizer is not linear in the gradient (Adam, momentum), so the ranks combine the changes that it has made, and
 * not the gradients. Its state stays with its rank.
 */
import { checkOperation } from '../reduction/operation.ts'
import type { Collectives } from './collectives.ts'
import { type Exchange, type ExchangeOptions, FlatExchange, type WeightRange } from './flat-exchange.ts'
import type { WeightLayout } from '../optim/weight-layout.ts'

export class DeltaExchange {
  /** The common weights at the beginning of the round. */
  readonly start: Float32Array
  /** Local weights before `combine`, common ones after it; undefined contents after it has failed. */
  readonly weights: Float32Array
  readonly #comm: Collectives
  readonly #exchange: FlatExchange
  /** Whether the operator leaves a single vector as it is. */
  readonly #keepsOne: boolean

  constructor(
    comm: Collectives,
    layout: WeightLayout,
    options: ExchangeOptions,
    notesPerRank = 0,
    weightRange: WeightRange = 'any',
  ) {
    this.#comm = comm
    this.#exchange = new FlatExchange(comm, layout, options, notesPerRank, weightRange)
    this.#keepsOne = checkOperation(options.op).rule?.kind !== 'matrix'
    this.start = new Float32Array(layout.elementCount)
    this.weights = this.#exchange.values
  }

  /**
   * Turns `weights` from local into common ones. If all ranks were left out,
   * the round is dropped: the weights are those of its start. A failure leaves `start` as it was.
   */
  async combine(notes: readonly number[] = [], weight?: number): Promise<Exchange> {
    const { start, weights } = this
    // One rank alone keeps its weights to the bit: start + (local - start) would round them.
    const alone = this.#comm.size === 1 && this.#keepsOne ? weights.slice() : undefined
    for (let i = 0; i < weights.length; i++) weights[i]! -= start[i]!
    const exchange = await this.#exchange.combine(notes, weight)
    if (!exchange.hasResult) weights.set(start)
    else if (alone) weights.set(alone)
    else for (let i = 0; i < weights.length; i++) weights[i]! += start[i]!
    return exchange
  }
}
