/**
 * An optimizer over flat weights: w <- step(w, gradient, state), in place, over the kernels of Rust.
 *
 * Before the step, in this order: the norm of the whole gradient is limited (`clipNorm`), then each element
 * (`clipValue`). Both are factors of the kernel, so the gradient is neither written nor read once more.
 *
 * The asynchronous form runs on this thread, too, and lets the event loop turn every few milliseconds: weights and
 * gradient are the caller's, who may transfer them away, so no other thread may hold pointers into them. What takes long
 * in memory of the optimizer runs off this thread.
 */
import { isReady, loadBinding, readyBinding } from '#binding'
import type { Binding } from '../binding/binding.ts'
import { isDetached, lengthOf } from '../binding/typed-array.ts'
import { AdasumError } from '../errors.ts'
import { cooperative } from '../kernels/run.ts'
import type { KernelTask } from '../kernels/work.ts'
import { checkArray, checkDisjoint, transferredAway } from '../tensor/check.ts'
import { type Call, callsBySegment, normTask } from './calls.ts'
import type { FloatArray, FloatDtype } from './float-array.ts'
import { rateAfter } from './hyperparameters.ts'
import { OptimizerState, type SavedState } from './optimizer-state.ts'
import type { Method, StepContext } from './rules.ts'
import type { Schedule } from './schedules.ts'
import type { OptimizerSegment, SegmentPlan } from './segments.ts'
import { type StepTask, StepTasks } from './step-tasks.ts'

/** What a step has done. */
export interface StepReport {
  /** The number of the step, from 1. */
  readonly step: number
  /** The rate of the step. */
  readonly learningRate: number
  /** The norm of the gradient before clipping. Absent without `clipNorm`. */
  readonly gradientNorm?: number
}

/** An optimizer from its checked options. */
export interface OptimizerPlan {
  /** One a segment. */
  readonly methods: readonly Method[]
  readonly dtype: FloatDtype
  readonly segments: SegmentPlan
  readonly schedule: Schedule
  readonly clipNorm: number
  readonly clipValue: number
}

/** Steps weights that lie in one flat array, segment by segment, and keeps its state. */
export class Optimizer {
  readonly #plan: OptimizerPlan
  readonly #tasks: StepTasks
  readonly #normCalls: readonly Call[]
  readonly #state: OptimizerState
  #status: 'idle' | 'stepping' | 'failed' = 'idle'

  /** Made by `sgd`, `adam`, `adamw`, `lamb` and `muon`. */
  constructor(plan: OptimizerPlan) {
    this.#plan = plan
    this.#normCalls = callsBySegment(plan.segments)
    this.#tasks = new StepTasks(plan)
    this.#state = new OptimizerState(plan)
  }

  /** The number of steps that have been done. */
  get stepCount(): number {
    return this.#state.stepCount
  }

  /** Elements of the weights. */
  get elementCount(): number {
    return this.#plan.segments.begins.at(-1)!
  }

  /** The dtype of weights, gradient and state. */
  get dtype(): FloatDtype {
    return this.#plan.dtype
  }

  /** The arrays of the weights, in the order in which they lie one behind the other. */
  get segments(): readonly OptimizerSegment[] {
    return this.#plan.segments.segments
  }

  /**
   * One step. Weights and gradient must not be changed until the promise settles.
   *
   * @param weights - all segments, one behind the other; updated in place
   * @param gradient - as long, of the same dtype; only read
   * @throws AdasumError ERR_ARGUMENT; ERR_NON_FINITE if `clipNorm` is set and the norm is NaN or infinite, and then
   *   nothing has been changed; ERR_NOT_READY if a step is under way, or one has failed halfway
   */
  async step(weights: FloatArray, gradient: FloatArray): Promise<StepReport> {
    this.#check(weights, gradient)
    this.#checkIdle()
    this.#status = 'stepping'
    let hasBegun = false
    try {
      const binding = isReady() ? loadBinding() : await readyBinding()
      const check = (): void => {
        if (isDetached(weights) || isDetached(gradient)) throw transferredAway()
      }
      check()
      const norms = this.#normTasks(gradient)
      await cooperative(check)(norms.tasks, binding, 'gram')
      const report = this.#report(norms.norm())
      hasBegun = true
      await runInTurns(this.#stepTasks(weights, gradient, report), binding, check)
      hasBegun = false
      this.#state.stepCount = report.step
      return report
    } finally {
      this.#status = hasBegun ? 'failed' : 'idle'
    }
  }

  /**
   * The same, at once.
   *
   * @throws AdasumError as `step`; in a browser ERR_NOT_READY until the module has been loaded
   */
  stepSync(weights: FloatArray, gradient: FloatArray): StepReport {
    this.#check(weights, gradient)
    this.#checkIdle()
    const binding = loadBinding()
    const norms = this.#normTasks(gradient)
    runAll(norms.tasks, binding)
    const report = this.#report(norms.norm())
    // It has, unless the calls come to their end.
    this.#status = 'failed'
    runAll(this.#stepTasks(weights, gradient, report), binding)
    this.#status = 'idle'
    this.#state.stepCount = report.step
    return report
  }

  /**
   * A copy of the state as named arrays: `m/dense/kernel`, and so on.
   *
   * @throws AdasumError ERR_NOT_READY if a step is under way, or one has failed halfway
   */
  state(): SavedState {
    this.#checkIdle()
    return this.#state.save()
  }

  /**
   * Takes over a state, of an optimizer of the same rule, segments and dtype. Its arrays are copied.
   *
   * @throws AdasumError ERR_ARGUMENT if it does not fit, and then nothing has been changed; ERR_NOT_READY if a step is
   *   under way
   */
  restore(saved: SavedState): void {
    if (this.#status === 'stepping') this.#checkIdle()
    this.#state.restore(saved)
    this.#status = 'idle'
  }

  /** @throws AdasumError ERR_NOT_READY if what is kept is not that of whole steps */
  #checkIdle(): void {
    if (this.#status === 'idle') return
    const how = this.#status === 'stepping' ? 'is under way. Await it.' : 'has failed halfway. Restore a state.'
    throw new AdasumError('ERR_NOT_READY', `step ${this.stepCount + 1} ${how}`)
  }

  #check(weights: FloatArray, gradient: FloatArray): void {
    const { dtype } = this.#plan
    for (const [what, array] of Object.entries({ weights, gradient })) {
      const found = checkArray(array, what).name
      if (found !== dtype)
        throw new AdasumError('ERR_ARGUMENT', `${what} is ${found}, and the optimizer ${dtype}. Convert one of them.`)
      if (lengthOf(array) !== this.elementCount)
        throw new AdasumError(
          'ERR_ARGUMENT',
          `${what} has ${lengthOf(array)} elements, and the segments ${this.elementCount}. Pass all of them, one behind the other.`,
        )
    }
    checkDisjoint([
      { array: weights, what: 'weights' },
      { array: gradient, what: 'gradient' },
    ])
  }

  #report(gradientNorm: number | undefined): StepReport {
    const { schedule, clipNorm } = this.#plan
    const learningRate = rateAfter(this.stepCount, schedule)
    if (gradientNorm !== undefined && !Number.isFinite(gradientNorm))
      throw new AdasumError(
        'ERR_NON_FINITE',
        `the norm of the gradient of step ${this.stepCount + 1} is ${gradientNorm}, and it is to be limited to ${clipNorm}. ` +
          'Nothing was changed: skip this step.',
      )
    const step = this.stepCount + 1
    return gradientNorm === undefined ? { step, learningRate } : { step, learningRate, gradientNorm }
  }

  /** The squares of the segments' norms are added in the order of the segments. */
  #normTasks(gradient: FloatArray): { tasks: KernelTask[]; norm: () => number | undefined } {
    const { clipNorm, dtype, segments } = this.#plan
    if (clipNorm === Infinity) return { tasks: [], norm: () => undefined }
    const squares = new Float64Array(segments.segments.length)
    const tasks = this.#normCalls.map((call) => normTask(call, gradient, dtype, squares))
    return { tasks, norm: () => Math.sqrt(squares.reduce((sum, square) => sum + square, 0)) }
  }

  #stepTasks(weights: FloatArray, gradient: FloatArray, report: StepReport): StepTask[] {
    const { methods, segments, clipNorm, clipValue } = this.#plan
    const { gradientNorm = 0, step } = report
    const gradientScale = gradientNorm > clipNorm ? clipNorm / gradientNorm : 1
    const contextOf = (segment: number): StepContext => {
      const { weightDecay, learningRateFactor } = methods[segment]!
      const group = segments.groups[segments.groupOf[segment]!]!
      return {
        ...{ gradientScale, clipValue, step },
        weightDecay: group.weightDecay ?? weightDecay,
        learningRate: report.learningRate * group.learningRateFactor * learningRateFactor,
      }
    }
    return this.#tasks.of({ gradient, weights, state: this.#state.arrays }, contextOf)
  }
}

/** On this thread, or off it what touches none of the caller's memory. `check` runs after each turn of the event loop. */
async function runInTurns(tasks: readonly StepTask[], binding: Binding, check: () => void): Promise<void> {
  const runHere = cooperative(check)
  for (const task of tasks)
    if (task.isOwn) {
      await task.async(binding)
      check()
    } else await runHere([task], binding, 'combine')
}

function runAll(tasks: readonly KernelTask[], binding: Binding): void {
  for (const task of tasks) task.sync(binding)
}
