import { viewsOf, weightLayout, type WeightLayout } from '../optim/weight-layout.ts'
import type { Collectives } from './collectives.ts'
import { DeltaExchange } from './delta-exchange.ts'
import type { Exchange, ExchangeOptions } from './flat-exchange.ts'
import { readWeights, type WeightAccess } from './weight-access.ts'

/** Rounds of local steps on a model's weights, each from common weights to common weights. */
export class DeltaRound {
  readonly layout: WeightLayout
  readonly #access: WeightAccess
  readonly #exchange: DeltaExchange
  /** The content each weight had when `start` was last equal to it. */
  #known: readonly unknown[] | undefined

  constructor(comm: Collectives, access: WeightAccess, options: ExchangeOptions, notesPerRank = 0) {
    this.#access = access
    this.layout = weightLayout(access.weights)
    this.#exchange = new DeltaExchange(comm, this.layout, options, notesPerRank)
  }

  /** The weights at the beginning of the round. */
  get start(): Float32Array {
    return this.#exchange.start
  }

  /**
   * Takes the present weights for the start of a round. Weights that nobody has assigned since the last exchange are
   * not read again.
   */
  async begin(): Promise<void> {
    const ids = this.#access.contentIds?.()
    const known = this.#known
    const isKnown = (index: number): boolean => known !== undefined && ids?.[index] === known[index]
    await readWeights(this.#access, viewsOf(this.layout, this.start), isKnown)
    this.#known = ids
  }

  /** Ends the round: all ranks get start + op(local - start). If it fails, the model keeps its local weights. */
  async combine(notes: readonly number[] = []): Promise<Exchange> {
    const { weights } = this.#exchange
    const views = viewsOf(this.layout, weights)
    await readWeights(this.#access, views)
    this.#known = undefined
    const exchange = await this.#exchange.combine(notes)
    this.#access.writeWeights(views)
    this.start.set(weights)
    this.#known = this.#access.contentIds?.()
    return exchange
  }
}
