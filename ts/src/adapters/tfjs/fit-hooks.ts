/**
 * What `distribute` has to know of a call of `fit` and cannot learn as one of its callbacks:
 *
 * - When `stopTraining` is set. TensorFlow.js leaves its loop as soon as it sees it, and a rank that left alone would
 *   keep the others waiting. While ranks train together the property is a wish, kept here until an exchange has told it
 *   to all ranks; only then does TensorFlow.js see it.
 * - When the last callback of an epoch has run. Only then can ranks vote on a wish of any of them. The last one is the
 *   History that each call of `fit` makes.
 * - Which callbacks stand beside it (see plain-callbacks.ts). No callback sees the list.
 *
 * For this, one model gets a `stopTraining`, a `fit`, a `fitDataset` and a `fitLoop` of its own, over those of its
 * class. A sequential model hands its calls to a model within, which gets them as well: in `model.fit(x, y, {
 * callbacks: distribute(model, ...) })` the outer `fit` has been looked up when `distribute` is called.
 */
import { asPlainCallbacks, checkKinds } from './plain-callbacks.ts'
import type { WeightedModel } from './variables.ts'

/** A tfjs-layers model, as far as training it is concerned. */
export interface TrainableModel extends WeightedModel {
  /** Set it to true to stop all ranks after the same batch. */
  stopTraining: boolean
}

/** Votes at the end of each epoch, when all callbacks have run. */
export interface EpochVoter {
  vote(): Promise<void>
}

interface Flag {
  get(this: void): boolean
  set(this: void, value: boolean): void
}

type Method = (...args: unknown[]) => unknown

/** The model whose loop runs: the one within a sequential model, or the model itself. */
interface RunningModel {
  readonly isTraining?: boolean
  /** Made by each call of `fit`. */
  readonly history?: { onEpochEnd: Method } | null
}

const hooked = new WeakMap<TrainableModel, FitHooks>()
const wrapped = new WeakSet<object>()

export class FitHooks {
  /** Whether this rank wishes to stop, whether or not the others know it. */
  isStopWanted = false
  readonly #model: TrainableModel
  readonly #stopTraining: Flag
  /** The call of `fit` in which ranks train together, by its History. */
  #together: object | undefined
  /** The call of `fit` for which the wish was made; undefined: for the next one. */
  #wishedDuring: object | undefined

  /** The hooks of a model. The first call installs them. */
  static of(model: TrainableModel): FitHooks {
    const hooks = hooked.get(model) ?? new FitHooks(model)
    hooked.set(model, hooks)
    // Compiling a sequential model makes another one within.
    for (const target of new Set([model, hooks.#running])) wrapCalls(target, model)
    return hooks
  }

  private constructor(model: TrainableModel) {
    this.#model = model
    this.#stopTraining = flagOfClass(model)
    Object.defineProperty(model, 'stopTraining', { configurable: true, ...this.#wish() })
  }

  /**
   * From now on, until the current call of `fit` has ended, no rank stops alone. Wishes of earlier calls are forgotten.
   */
  begin(voter: EpochVoter): void {
    const { history } = this.#running
    if (this.#wishedDuring !== undefined && this.#wishedDuring !== history) this.isStopWanted = false
    this.#together = this.#wishedDuring = history ?? undefined
    if (!history) return
    const { onEpochEnd } = history
    history.onEpochEnd = async (...args) => {
      await onEpochEnd.apply(history, args)
      await voter.vote()
    }
  }

  /** Makes TensorFlow.js leave its loop, since all ranks have agreed to. */
  stop(): void {
    this.#stopTraining.set(true)
  }

  get #running(): RunningModel {
    const { model } = this.#model as { model?: RunningModel | null }
    return model ?? (this.#model as RunningModel)
  }

  /** The current call of `fit`, by its History. */
  get #currentFit(): object | undefined {
    const { isTraining, history } = this.#running
    return (isTraining && history) || undefined
  }

  #isTogether(): boolean {
    return this.#together !== undefined && this.#together === this.#currentFit
  }

  #wish(): Flag {
    return {
      get: () => this.#stopTraining.get() || (this.#isTogether() && this.isStopWanted),
      set: (value) => {
        this.isStopWanted = value
        this.#wishedDuring = this.#currentFit
        if (!this.#isTogether()) this.#stopTraining.set(value)
      },
    }
  }
}

/** The property as TensorFlow.js defines it, for all models of a class. */
function flagOfClass(model: TrainableModel): Flag {
  const prototype = Object.getPrototypeOf(model) as object
  return {
    get: () => Reflect.get(prototype, 'stopTraining', model) as boolean,
    set: (value) => void Reflect.set(prototype, 'stopTraining', value, model),
  }
}

/** @param model - the one that instances among the callbacks are given, so that they find its `stopTraining` */
function wrapCalls(target: object, model: TrainableModel): void {
  if (wrapped.has(target)) return
  wrapped.add(target)
  wrapMethod(target, 'fit', (args) => mixIn(model, args, 2))
  wrapMethod(target, 'fitDataset', (args) => mixIn(model, args, 1))
  // Where `fit` was looked up before it was ours, it is too late to mix kinds, but an error can say so.
  wrapMethod(target, 'fitLoop', (args) => (checkKinds(args[FIT_LOOP_CALLBACKS]), args))
}

/** Index of the callbacks among the arguments of LayersModel.fitLoop. */
const FIT_LOOP_CALLBACKS = 6

function mixIn(model: object, args: readonly unknown[], at: number): unknown[] {
  const own = args[at] as { callbacks?: unknown } | undefined
  if (own?.callbacks == null) return [...args]
  return args.with(at, { ...own, callbacks: asPlainCallbacks(own.callbacks, model) })
}

function wrapMethod(model: object, name: string, change: (args: unknown[]) => unknown[]): void {
  const original = Reflect.get(model, name) as Method | undefined
  if (typeof original !== 'function') return
  // Asynchronous, as the method: what `change` throws rejects.
  const value = async (...args: unknown[]): Promise<unknown> => original.apply(model, change(args))
  Object.defineProperty(model, name, { configurable: true, writable: true, value })
}
