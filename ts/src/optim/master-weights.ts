/**
 * Weights that a model holds in a half format, with a master copy in f32 that the optimizer steps: steps which are smaller
 * than the distance from one half to the next are not lost, they add up in the master.
 */
import { isReady, loadBinding, readyBinding } from '#binding'
import { isDetached, lengthOf } from '../binding/typed-array.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import { cooperative } from '../kernels/run.ts'
import type { KernelTask } from '../kernels/work.ts'
import { checkArray, checkDisjoint, kindOf, oneOf, readOptions, transferredAway } from '../tensor/check.ts'
import type { HalfDtype, OptionNames } from '../types.ts'
import { roundTasks, widenTasks } from './half-conversion.ts'
import { checkFits, type SavedState } from './optimizer-state.ts'
import type { Optimizer, StepReport } from './optimizer.ts'
import { elementCountOf } from './weight-layout.ts'

/** Options of `MasterWeights`. */
export interface MasterWeightsOptions {
  /** The format of the model's weights, and of gradients that are halves. */
  readonly dtype: HalfDtype
  /** The weights to begin with, all segments one behind the other: halves, or better f32. They are copied. */
  readonly initial: Uint16Array | Float32Array
}

const OPTIONS: OptionNames<MasterWeightsOptions> = { dtype: true, initial: true }
/** Before the names of the segments, in a saved state. */
const MASTER = 'master/'

/**
 * An optimizer for weights in f16 or bf16.
 *
 * @example
 * const optimizer = new MasterWeights(adamw({ segments, learningRate }), { dtype: 'bf16', initial })
 * optimizer.write(weights) // a Uint16Array, which the model computes with
 * await optimizer.step(weights, gradient)
 */
export class MasterWeights {
  readonly #optimizer: Optimizer
  readonly #dtype: HalfDtype
  readonly #master: Float32Array
  /** Gradients in f32; made when there is one that is not. */
  #wide: Float32Array | undefined
  #isStepping = false

  /**
   * @param optimizer - of f32, and used by nothing else from now on
   * @throws AdasumError ERR_ARGUMENT; in a browser ERR_NOT_READY for halves until the module has been loaded
   */
  constructor(optimizer: Optimizer, given: MasterWeightsOptions) {
    checkOptimizer(optimizer)
    const { dtype, initial } = readOptions(given, OPTIONS)
    this.#optimizer = optimizer
    this.#dtype = oneOf(dtype, ['f16', 'bf16'], 'dtype')
    const isHalf = this.#checkFlat(initial, 'initial')
    this.#master = isHalf ? new Float32Array(optimizer.elementCount) : Float32Array.from(initial)
    if (isHalf) runAll(widenTasks(this.#dtype, initial as Uint16Array, this.#master))
  }

  /** The number of steps that have been done. */
  get stepCount(): number {
    return this.#optimizer.stepCount
  }

  /** Elements of the weights. */
  get elementCount(): number {
    return this.#optimizer.elementCount
  }

  /** A copy of the weights in f32. */
  master(): Float32Array {
    return this.#master.slice()
  }

  /**
   * Replaces the weights in f32, by what ranks have combined, for instance. Call `write` then.
   *
   * @param values - all segments, one behind the other; copied
   * @throws AdasumError ERR_ARGUMENT; ERR_NOT_READY if a step is under way
   */
  setMaster(values: Float32Array): void {
    if (this.#checkFlat(values, 'values'))
      throw new AdasumError('ERR_ARGUMENT', 'values is u16; the master is f32. Pass a Float32Array.')
    this.#checkIdle()
    this.#master.set(values)
  }

  /**
   * One step of the master, whose weights are then rounded to halves: to nearest, ties to even. Neither array must be
   * changed until the promise settles.
   *
   * @param weights - receives the halves; what is in it does not matter
   * @param gradient - as long: halves of the same format, or f32; only read. A loss scale must be gone from it
   * @throws AdasumError ERR_ARGUMENT, and otherwise as the optimizer's `step`
   */
  async step(weights: Uint16Array, gradient: Uint16Array | Float32Array): Promise<StepReport> {
    const isHalf = this.#check(weights, gradient)
    this.#isStepping = true
    try {
      const binding = isReady() ? loadBinding() : await readyBinding()
      const check = (): void => {
        if (isDetached(weights) || isDetached(gradient)) throw transferredAway()
      }
      check()
      if (isHalf) await cooperative(check)(this.#widening(gradient as Uint16Array), binding, 'combine')
      const report = await this.#optimizer.step(this.#master, isHalf ? this.#wide! : (gradient as Float32Array))
      check()
      await cooperative(check)(roundTasks(this.#dtype, this.#master, weights), binding, 'combine')
      return report
    } finally {
      this.#isStepping = false
    }
  }

  /**
   * The same, at once.
   *
   * @throws AdasumError as `step`; in a browser ERR_NOT_READY until the module has been loaded
   */
  stepSync(weights: Uint16Array, gradient: Uint16Array | Float32Array): StepReport {
    const isHalf = this.#check(weights, gradient)
    if (isHalf) runAll(this.#widening(gradient as Uint16Array))
    const report = this.#optimizer.stepSync(this.#master, isHalf ? this.#wide! : (gradient as Float32Array))
    runAll(roundTasks(this.#dtype, this.#master, weights))
    return report
  }

  /**
   * Rounds the master to halves, as a step does: before the first step, and after `restore`.
   *
   * @throws AdasumError ERR_ARGUMENT; ERR_NOT_READY if a step is under way, and in a browser until the module has been
   *   loaded
   */
  write(weights: Uint16Array): void {
    this.#checkHalves(weights)
    this.#checkIdle()
    runAll(roundTasks(this.#dtype, this.#master, weights))
  }

  /**
   * A copy of the optimizer's state and the master, as named arrays: `master/dense/kernel`, and so on.
   *
   * @throws AdasumError ERR_NOT_READY as the optimizer's `state`
   */
  state(): SavedState {
    this.#checkIdle()
    const { stepCount, arrays } = this.#optimizer.state()
    const masters = this.#views().map(([name, view]): [string, Float32Array] => [name, view.slice()])
    return { stepCount, arrays: { ...arrays, ...Object.fromEntries(masters) } }
  }

  /**
   * Takes over a state; its arrays are copied. Call `write` then.
   *
   * @throws AdasumError ERR_ARGUMENT if it does not fit, and then nothing has been changed; ERR_NOT_READY if a step is
   *   under way
   */
  restore(saved: SavedState): void {
    this.#checkIdle()
    const views = this.#views()
    const { stepCount, arrays } = reading('the state', () => ({
      stepCount: saved.stepCount,
      arrays: { ...saved.arrays },
    }))
    for (const [name, view] of views) checkFits(name, arrays[name], view)
    const isOwn = ([name]: [string, unknown]): boolean => views.some(([own]) => own === name)
    const others = Object.entries(arrays).filter((entry) => !isOwn(entry))
    this.#optimizer.restore({ stepCount, arrays: Object.fromEntries(others) })
    for (const [name, view] of views) view.set(arrays[name]!)
  }

  #widening(gradient: Uint16Array): KernelTask[] {
    this.#wide ??= new Float32Array(this.elementCount)
    return widenTasks(this.#dtype, gradient, this.#wide)
  }

  /** The part of each segment. */
  #views(): [name: string, view: Float32Array][] {
    let begin = 0
    return this.#optimizer.segments.map(({ name, shape }) => {
      const end = begin + elementCountOf(shape)
      const view = this.#master.subarray(begin, end)
      begin = end
      return [MASTER + name, view]
    })
  }

  /** Whether the gradient consists of halves. */
  #check(weights: Uint16Array, gradient: Uint16Array | Float32Array): boolean {
    this.#checkHalves(weights)
    const isHalf = this.#checkFlat(gradient, 'gradient')
    checkDisjoint([
      { array: weights, what: 'weights' },
      { array: gradient, what: 'gradient' },
    ])
    this.#checkIdle()
    return isHalf
  }

  #checkHalves(weights: Uint16Array): void {
    if (this.#checkFlat(weights, 'weights')) return
    throw new AdasumError(
      'ERR_ARGUMENT',
      `weights is f32; it must be a Uint16Array that holds ${this.#dtype}. For weights in f32 use the optimizer itself.`,
    )
  }

  /** Whether an array as long as the weights consists of halves. */
  #checkFlat(array: Uint16Array | Float32Array, what: string): boolean {
    const { name } = checkArray(array, what)
    if (name !== 'u16' && name !== 'f32')
      throw new AdasumError('ERR_ARGUMENT', `${what} is ${name}; it must be a Uint16Array of halves or a Float32Array.`)
    if (lengthOf(array) !== this.elementCount)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what} has ${lengthOf(array)} elements, and the segments ${this.elementCount}. Pass all of them, one behind the other.`,
      )
    return name === 'u16'
  }

  #checkIdle(): void {
    if (!this.#isStepping) return
    throw new AdasumError('ERR_NOT_READY', `step ${this.stepCount + 1} is under way. Await it.`)
  }
}

function checkOptimizer(optimizer: unknown): void {
  const { stepSync, dtype } = (optimizer ?? {}) as Partial<Optimizer>
  if (typeof stepSync !== 'function')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `the first argument must be an optimizer, such as adamw({ ... }); got ${kindOf(optimizer)}.`,
    )
  if (dtype !== 'f32')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `the optimizer is of ${inspect(dtype)}; the master is f32. Leave its dtype out.`,
    )
}

function runAll(tasks: readonly KernelTask[]): void {
  const binding = loadBinding()
  for (const task of tasks) task.sync(binding)
}
