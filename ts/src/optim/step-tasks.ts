/**
 * The kernel calls of a step, in order. A segment whose direction is orthogonalized takes three of them: its direction
 * is computed into memory of the optimizer, becomes an orthogonal matrix there, and then moves the weights as a gradient
 * would. Only the second takes long, and it touches none of the caller's memory.
 */
import { DTYPE_CODES, STEP_RULE_CODES } from '../binding/binding.ts'
import type { KernelTask } from '../kernels/work.ts'
import { bytesOf } from '../tensor/check.ts'
import { bytesWithin, type Call, callsWithin, stepCalls, stepTask } from './calls.ts'
import { type FloatArray, type FloatDtype, newFloats } from './float-array.ts'
import type { StateArray } from './optimizer-state.ts'
import type { MatrixShape, Method, Orthogonalization, StepContext } from './rules.ts'
import type { SegmentPlan } from './segments.ts'

export interface StepTask extends KernelTask {
  /** Whether it takes long, and in memory that is not the caller's: it may run off this thread. */
  readonly isOwn?: boolean
}

export interface StepArrays {
  readonly gradient: FloatArray
  readonly weights: FloatArray
  readonly state: readonly StateArray[]
}

/** A segment whose direction is orthogonalized. */
interface Matrix extends MatrixShape {
  readonly segment: number
  readonly orthogonalization: Orthogonalization
  readonly calls: readonly Call[]
}

/** Multiplications from which on a matrix is worth another thread: a millisecond's worth. */
const OWN_MULTIPLICATIONS = 1 << 24

export class StepTasks {
  readonly #methods: readonly Method[]
  readonly #dtype: FloatDtype
  readonly #calls: readonly Call[]
  readonly #matrices: readonly Matrix[]
  /** Room for the direction of one matrix after the other. */
  #direction: FloatArray | undefined

  constructor({ methods, segments, dtype }: { methods: readonly Method[]; segments: SegmentPlan; dtype: FloatDtype }) {
    this.#methods = methods
    this.#dtype = dtype
    this.#calls = stepCalls(segments, methods)
    this.#matrices = methods.flatMap(({ rule: { orthogonalization } }, segment) => {
      const calls = callsWithin(segments, segment)
      if (!orthogonalization || calls.length === 0) return []
      const shape = orthogonalization.matrixOf(segments.segments[segment]!.shape)
      return [{ ...shape, segment, orthogonalization, calls }]
    })
  }

  /** @param contextOf - the hyperparameters of a segment in this step */
  of(arrays: StepArrays, contextOf: (segment: number) => StepContext): StepTask[] {
    const { gradient, weights, state } = arrays
    const tasks = this.#calls.map((call) => {
      const { rule } = this.#methods[call.parts[0]!.segment]!
      const rows = call.parts.map(({ segment }) => rule.factors(contextOf(segment)))
      return stepTask(call, { rule, rows }, this.#dtype, {
        input: bytesWithin(call, gradient),
        output: bytesWithin(call, weights),
        state,
      })
    })
    return [...tasks, ...this.#matrices.flatMap((matrix) => this.#tasksOf(matrix, arrays, contextOf(matrix.segment)))]
  }

  #tasksOf(matrix: Matrix, { gradient, weights, state }: StepArrays, context: StepContext): StepTask[] {
    const { segment, calls, orthogonalization } = matrix
    const { rule } = this.#methods[segment]!
    const { learningRate, weightDecay } = context
    const [direction, begin] = [this.#room(), calls[0]!.parts[0]!.begin]
    const rate = learningRate * orthogonalization.scaleOf(matrix)
    const applied = [1, Infinity, rate, 0, 1 - learningRate * weightDecay]
    return [
      ...calls.map((call) =>
        stepTask(call, { rule, rows: call.parts.map(() => rule.factors(context)) }, this.#dtype, {
          input: bytesWithin(call, gradient),
          output: bytesWithin(call, direction, begin),
          state,
        }),
      ),
      orthogonalizeTask(matrix, this.#dtype, direction),
      ...calls.map((call) =>
        stepTask(call, { rule: SGD, rows: call.parts.map(() => applied) }, this.#dtype, {
          input: bytesWithin(call, direction, begin),
          output: bytesWithin(call, weights),
          state: [],
        }),
      ),
    ]
  }

  #room(): FloatArray {
    const largest = Math.max(...this.#matrices.map(({ rows, columns }) => rows * columns))
    return (this.#direction ??= newFloats(this.#dtype, largest))
  }
}

const SGD = { code: STEP_RULE_CODES.sgd, stateNames: [] }

function orthogonalizeTask(
  { rows, columns, orthogonalization: { factors } }: Matrix,
  dtype: FloatDtype,
  direction: FloatArray,
): StepTask {
  const matrix = bytesOf(direction.subarray(0, rows * columns))
  const code = DTYPE_CODES[dtype]
  return {
    isOwn: rows * columns * Math.min(rows, columns) * (factors.length / 3) >= OWN_MULTIPLICATIONS,
    sync: (binding) => binding.orthogonalize(code, rows, columns, factors, matrix),
    async: (binding) => binding.orthogonalizeAsync(code, rows, columns, factors, matrix),
  }
}
