/**
 * What `distribute` has to know of a call of `fit` and cannot learn as one of its callbacks:
 *
 * - When `stopTraining` is set. TensorFlow.js leaves its loop as soon as it sees it, and a rank that left alone would
 *   keep the others waiting. While ranks train together the property is a wish, kept here until an exchange has told all
 *   of it; only then does TensorFlow.js see it.
 * - Which callbacks stand beside it. TensorFlow.js takes a whole list for plain objects or for instances of its callback
 *   classes as the first entry is; what is of the other kind fails, some of it at the end of an epoch. No callback sees
 *   the list.
 * - When the last callback of an epoch has run. Only then can ranks vote on a wish of any of them.
 *
 * For these, `stopTraining`, `fit` and `fitDataset` of one model get properties of its own, over those of its class.
 */
import { asPlainCallbacks, type PlainCallbacks } from './plain-callbacks.ts'
import type { TrainableModel } from './fit-session.ts'

/** Who is asked at the end of each epoch, when all callbacks have run. */
export interface EpochVoter {
  vote(): Promise<void>
}

interface Flag {
  get(this: void): boolean
  set(this: void, value: boolean): void
}

type Fit = (...args: unknown[]) => Promise<unknown>

interface FitArgs {
  callbacks?: unknown
}

/** Where the arguments of each function are. */
const FIT_ARGS = { fit: 2, fitDataset: 1 } as const

const hooked = new WeakMap<TrainableModel, FitHooks>()

export class FitHooks {
  /** Whether this rank wishes to stop, all ranks told or not. */
  isStopWanted = false
  readonly #model: TrainableModel
  readonly #stopTraining: Flag
  #voter: EpochVoter | undefined
  #callsUnderWay = 0

  /** Those of a model; the first call puts them in place. */
  static of(model: TrainableModel): FitHooks {
    const known = hooked.get(model)
    if (known) return known
    const made = new FitHooks(model)
    hooked.set(model, made)
    return made
  }

  private constructor(model: TrainableModel) {
    this.#model = model
    this.#stopTraining = flagOfClass(model)
    Object.defineProperty(model, 'stopTraining', { configurable: true, ...this.#wish() })
    for (const [name, at] of Object.entries(FIT_ARGS)) this.#wrap(name as keyof typeof FIT_ARGS, at)
  }

  /** From now on, until the call of `fit` under way has ended, nobody stops alone. */
  begin(voter: EpochVoter): void {
    this.#voter = voter
  }

  /** All ranks have agreed: TensorFlow.js leaves its loop. */
  stop(): void {
    this.#stopTraining.set(true)
  }

  #wish(): Flag {
    return {
      get: () => this.#stopTraining.get() || (this.#voter !== undefined && this.isStopWanted),
      set: (value) => {
        this.isStopWanted = value
        if (this.#voter === undefined) this.#stopTraining.set(value)
      },
    }
  }

  #wrap(name: keyof typeof FIT_ARGS, at: number): void {
    const model = this.#model as unknown as Record<string, unknown>
    const original = model[name]
    if (typeof original !== 'function') return
    const value = (...args: unknown[]): Promise<unknown> => {
      const own = args[at] as FitArgs | undefined
      if (own?.callbacks != null) args[at] = { ...own, callbacks: this.#callbacksOf(own.callbacks) }
      return this.#during(() => (original as Fit).apply(model, args))
    }
    Object.defineProperty(model, name, { configurable: true, writable: true, value })
  }

  async #during(run: () => Promise<unknown>): Promise<unknown> {
    this.#callsUnderWay++
    try {
      return await run()
    } finally {
      this.#callsUnderWay--
      // A second call is refused while the first goes on.
      if (this.#callsUnderWay === 0) this.#end()
    }
  }

  /** A wish is one for the training during or before which it was made. */
  #end(): void {
    this.#voter = undefined
    this.isStopWanted = false
  }

  #callbacksOf(given: unknown): PlainCallbacks[] {
    const vote = async (): Promise<void> => this.#voter?.vote()
    return [...asPlainCallbacks(given, this.#model), { onEpochEnd: vote }]
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
