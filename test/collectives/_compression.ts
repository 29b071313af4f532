/** What compressed all-reduce is by definition: steps of a world, from what the steps before have left over. */
import { Compressor, type CompressionFormat } from '../../ts/src/compressor.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import type { AllReduceAlgorithm, ReduceOp } from '../../ts/src/types.ts'
import { quantise } from './_quantize.ts'

export const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
export const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

export interface Case {
  op: ReduceOp
  algorithm: AllReduceAlgorithm
  format: CompressionFormat
  block: number
  errorFeedback: boolean
  segments: number[]
  withOut: number
  bucketBytes: number | undefined
  steps: number
  seed: number
  /** Ranks whose input has a NaN in it at the second step; they are left out. */
  bad: number
}

export const compressorOf = ({ format, block, errorFeedback }: Case): Compressor =>
  new Compressor({ format, errorFeedback, ...(format === 'int8' && { blockElementCount: block }) })

/** Steps of a world by the definition: what each gives, from what the steps before have left over. */
export class Definition {
  readonly #one: Case
  readonly #isDirect: boolean
  #inputs: Float32Array[] | undefined
  #result: Float32Array | undefined

  constructor(one: Case, size: number) {
    this.#one = one
    const isShort = 4 * sumOf(one.segments) <= 32 << 10
    this.#isDirect = one.algorithm === 'direct' || (one.algorithm === 'auto' && (size <= 2 || (size <= 8 && isShort)))
  }

  step(inputs: readonly Float32Array[], absent: readonly number[]): Float32Array {
    const { op, segments, errorFeedback } = this.#one
    const sent = inputs.map((input, rank) => quantise(this.#one, segments, input, this.#inputs?.[rank]))
    const present = sent.filter((_, rank) => !absent.includes(rank))
    const { result } = LOCAL[op](
      sent.map(({ numbers }, rank) => (absent.includes(rank) ? inputs[rank]! : numbers)),
      {
        segments,
        onNonFinite: 'skip',
      },
    )
    const zeros = inputs.map((input) => new Float32Array(input.length))
    if (present.length > 0 && errorFeedback)
      this.#inputs = sent.map(({ residual }, rank) =>
        absent.includes(rank) ? (this.#inputs?.[rank] ?? zeros[rank]!) : residual,
      )
    if (present.length === 0 || this.#isDirect) return result
    const gathered = quantise(this.#one, segments, result, this.#result)
    if (errorFeedback) this.#result = gathered.residual
    return gathered.numbers
  }
}
