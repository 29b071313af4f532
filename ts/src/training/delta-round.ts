import { viewsOf, weightLayout, type WeightLayout } from '../optim/weight-layout.ts'
import type { Collectives } from './collectives.ts'
import { DeltaExchange } from './delta-exchange.ts'
import type { Exchange, ExchangeOptions, WeightRange } from './flat-exchange.ts'
import { readWeights, type WeightAccess } from './weight-access.ts'

/** Rounds of local steps on a model's weights, each from common weights to common weights. */
export class DeltaRound {
  readonly layout: WeightLayout
  readonly #access: WeightAccess
  readonly #exchange: DeltaExchange
  /** The content ids of the weights when `start` was last equal to them. */
  #startIds: readonly unknown[] | undefined

  constructor(
    comm: Collectives,
    access: WeightAccess,
    options: ExchangeOptions,
    notesPerRank = 0,
    weightRange: WeightRange = 'any',
  ) {
    this.#access = access
    this.layout = weightLayout(access.weights)
    this.#exchange = new DeltaExchange(comm, this.layout, options, notesPerRank, weightRange)
  }

  /** The weights at the beginning of the round. */
  get start(): Float32Array {
    return this.#exchange.start
  }

  /** Memory as long as the weights, for whatever is needed between two calls of `combine`. */
  get scratch(): Float32Array {
    return this.#exchange.weights
  }

  /**
   * Reads the present weights as the start of a round. Weights that nobody has assigned since the last exchange are not
   * read again.
   */
  async begin(): Promise<void> {
    const ids = this.#access.contentIds?.()
    const startIds = this.#startIds
    const isCurrent = (index: number): boolean => startIds !== undefined && ids?.[index] === startIds[index]
    await readWeights(this.#access, viewsOf(this.layout, this.start), isCurrent)
    this.#startIds = ids
  }

  /** Ends the round: all ranks get start + op(local - start). If it fails, the model keeps its local weights. */
  async combine(notes: readonly number[] = [], weight?: number): Promise<Exchange> {
    const { weights } = this.#exchange
    const views = viewsOf(this.layout, weights)
    await readWeights(this.#access, views)
    this.#startIds = undefined
    const exchange = await this.#exchange.combine(notes, weight)
    this.#access.writeWeights(views)
    this.start.set(weights)
    this.#startIds = this.#access.contentIds?.()
    return exchange
  }
}
