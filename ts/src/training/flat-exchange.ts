/**
 * One all-reduce of a flat buffer, a segment a weight, with a few numbers of each rank along with it.
 *
 * Notes (a vote to stop, a count of batches) ride in one more segment of the same message, so that they cost no round
 * trip: each rank has its own slots there and leaves the others' zero. Vectors with disjoint supports are orthogonal,
 * and then Adasum and other operators of pairs are exactly the sum; the average divides by the ranks present, which is
 * undone. Notes must arrive exactly. So they are a message of their own where the numbers are compressed, where the ranks
 * of each machine reduce first, where the operator takes all ranks at once, or where ranks count by weights that may be
 * zero or tiny.
 */
import type { Compressor } from '../compressor.ts'
import {
  CALL_OPTIONS,
  type CallOptions,
  type OnNonFinite,
  type Operator,
  type OptionNames,
  type ReduceOp,
  type Reduction,
  type SegmentReduction,
} from '../types.ts'
import { checkOperation } from '../reduction/operation.ts'
import type { Collectives } from './collectives.ts'
import type { WeightLayout } from '../optim/weight-layout.ts'
import { newExchanged } from './flat-memory.ts'

export interface ExchangeOptions extends CallOptions {
  /** The operator by which ranks are combined: a name, or one with parameters (docs/operators.md). */
  op: ReduceOp | Operator
  /**
   * Default `propagate` for sum and average, `throw` for others. `skip` leaves a rank out whose numbers are not finite.
   */
  onNonFinite?: OnNonFinite
  /** With op `adasum`: the operator that combines the ranks of each machine first. */
  hierarchy?: ReduceOp
  /** Quantises what is sent. No other exchange may use the same one. */
  compressor?: Compressor
  /**
   * With an operator that looks at Gram matrices, and at most 16 ranks without a hierarchy: also report each weight's
   * coefficients and Gram matrix, of what the ranks exchange. The same on every rank. Default false.
   */
  gram?: boolean
}

export const EXCHANGE_OPTIONS: OptionNames<ExchangeOptions> = {
  op: true,
  onNonFinite: true,
  hierarchy: true,
  compressor: true,
  gram: true,
  ...CALL_OPTIONS,
}

/** What one exchange did: a segment a weight, under this rank's names. */
export interface StepReduction {
  /** A segment for each weight. */
  segments: SegmentReduction[]
  /** Ranks that were left out (`onNonFinite: 'skip'`). */
  nonFiniteRanks: number[]
  /** Only where samples are counted: those of each rank in this exchange. */
  sampleCounts?: number[]
  /** Bytes this rank handed to the network. */
  bytesSent: number
}

export interface Exchange {
  reduction: StepReduction
  /** False if all ranks were left out or had no samples: there is no result then. */
  hasResult: boolean
  /** The notes of each rank; undefined for one that was left out, or that has joined. */
  notes: (number[] | undefined)[]
}

/** What the weights of an exchange may be: anything from 0, or at least 1, with which notes need no message of their own. */
export type WeightRange = 'any' | 'positive'

export class FlatExchange {
  /** The numbers to be combined, and then the result. */
  readonly values: Float32Array
  readonly #comm: Collectives
  readonly #layout: WeightLayout
  readonly #options: ExchangeOptions
  readonly #message: Float32Array
  readonly #segments: number[]
  readonly #notesPerRank: number
  /** Whether the notes are always a message of their own. */
  readonly #isApart: boolean
  readonly #weightRange: WeightRange

  constructor(
    comm: Collectives,
    layout: WeightLayout,
    options: ExchangeOptions,
    notesPerRank = 0,
    weightRange: WeightRange = 'any',
  ) {
    const noteCount = notesPerRank * comm.size
    this.#comm = comm
    this.#layout = layout
    this.#options = options
    this.#notesPerRank = notesPerRank
    this.#weightRange = weightRange
    this.#message = newExchanged(comm, 'float32', layout.elementCount + noteCount) as Float32Array
    this.values = this.#message.subarray(0, layout.elementCount)
    this.#segments = layout.weights.map(({ elementCount }) => elementCount)
    const isMatrix = checkOperation(options.op).rule?.kind === 'matrix'
    this.#isApart = noteCount > 0 && (isMatrix || options.hierarchy !== undefined || options.compressor !== undefined)
  }

  /**
   * Combines `values` in place.
   *
   * @param notes - as many as the constructor was told: whole numbers below 2^22, since an average in f32 has to bring them
   *   back exactly
   * @param weight - how much this rank counts; on all ranks or on none, and as the constructor was told
   */
  async combine(notes: readonly number[] = [], weight?: number): Promise<Exchange> {
    const tail = this.#message.subarray(this.#layout.elementCount)
    tail.fill(0).set(notes, this.#comm.rank * this.#notesPerRank)
    const isApart = this.#isApart || (tail.length > 0 && weight !== undefined && this.#weightRange === 'any')
    const { segments, nonFiniteRanks, weights, bytesSent } = await this.#allReduce(tail, weight, isApart)
    const named = this.#layout.weights.map(({ name }, index) => ({ ...segments[index]!, name }))
    return {
      reduction: { segments: named, nonFiniteRanks, ...(weights && { sampleCounts: weights }), bytesSent },
      hasResult: this.#isAnyPresent(nonFiniteRanks, weights),
      notes: this.#notesOf(tail, { nonFiniteRanks, weights }, isApart),
    }
  }

  #isAnyPresent(nonFiniteRanks: readonly number[], weights: readonly number[] | undefined): boolean {
    const ranks = Array.from({ length: this.#comm.size }, (_, rank) => rank)
    return ranks.some((rank) => weights?.[rank] !== 0 && !nonFiniteRanks.includes(rank))
  }

  async #allReduce(tail: Float32Array, weight: number | undefined, isApart: boolean): Promise<Reduction<Float32Array>> {
    const segments = isApart || tail.length === 0 ? this.#segments : [...this.#segments, tail.length]
    const options = { ...this.#options, segments, ...(weight !== undefined && { weight }) }
    if (!isApart) return this.#comm.allReduce(this.#message, options)
    const { timeoutMs, signal } = this.#options
    const call = { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal !== undefined && { signal }) }
    const both = [
      this.#comm.allReduce(this.values, options),
      this.#comm.allReduce(tail, { op: 'sum', ...call }),
    ] as const
    // Both calls have ended when the first failure is thrown, so that nothing touches the memory any more.
    await Promise.allSettled(both)
    const [reduction, notes] = await Promise.all(both)
    return { ...reduction, bytesSent: reduction.bytesSent + notes.bytesSent }
  }

  #notesOf(
    tail: Float32Array,
    { nonFiniteRanks, weights }: { nonFiniteRanks: readonly number[]; weights: readonly number[] | undefined },
    isApart: boolean,
  ): (number[] | undefined)[] {
    const counts = Array.from({ length: this.#comm.size }, (_, rank) =>
      nonFiniteRanks.includes(rank) ? 0 : (weights?.[rank] ?? 1),
    )
    const total = counts.reduce((sum, count) => sum + count, 0)
    const isAveraged = this.#options.op === 'average' && !isApart
    return counts.map((count, rank) => {
      if (nonFiniteRanks.includes(rank) || (count === 0 && !isApart)) return undefined
      const own = tail.subarray(rank * this.#notesPerRank, (rank + 1) * this.#notesPerRank)
      return Array.from(own, (note) => Math.round(isAveraged ? note * (total / count) : note))
    })
  }
}
