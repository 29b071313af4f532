import type * as tf from '@tensorflow/tfjs-core'
import type { Collectives } from '../../training/collectives.ts'
import { DeltaExchange } from '../../training/delta-exchange.ts'
import type { Exchange, ExchangeOptions } from '../../training/flat-exchange.ts'
import type { WeightLayout } from '../../optim/weight-layout.ts'
import { layoutOfVariables, readVariables, writeVariables } from './variables.ts'

/** Rounds of local steps on variables, each from common weights to common weights. */
export class VariableRound {
  readonly layout: WeightLayout
  readonly #variables: readonly tf.Variable[]
  readonly #exchange: DeltaExchange
  /** The memory each variable had when `start` was last equal to it. */
  #known: (tf.DataId | undefined)[] = []

  constructor(comm: Collectives, variables: readonly tf.Variable[], options: ExchangeOptions, notesPerRank = 0) {
    this.#variables = variables
    this.layout = layoutOfVariables(variables)
    this.#exchange = new DeltaExchange(comm, this.layout, options, notesPerRank)
  }

  /** The weights at the beginning of the round. */
  get start(): Float32Array {
    return this.#exchange.start
  }

  /**
   * Takes the present weights for the start of a round. Variables that nobody has assigned since the last exchange are
   * not read again.
   */
  async begin(): Promise<void> {
    const ids = this.#variables.map(({ dataId }) => dataId)
    await readVariables(this.#variables, this.layout, this.start, (index) => ids[index] === this.#known[index])
    this.#known = ids
  }

  /** Ends the round: all ranks get start + op(local - start). If it fails, the variables keep their local values. */
  async combine(notes: readonly number[] = []): Promise<Exchange> {
    const { weights } = this.#exchange
    await readVariables(this.#variables, this.layout, weights)
    this.#known = []
    const exchange = await this.#exchange.combine(notes)
    writeVariables(this.#variables, this.layout, weights)
    this.start.set(weights)
    this.#known = this.#variables.map(({ dataId }) => dataId)
    return exchange
  }
}
