/**
 * Callbacks of both kinds in one list. `fit` takes plain objects of functions, and it takes instances of its classes,
 * such as EarlyStopping; which of them a list holds, it decides by the first entry. So instances are given to it as
 * plain objects whose functions call them.
 */
import { AdasumError } from '../../errors.ts'
import type { Logs } from '../../training/epoch-session.ts'
import type { FitParams } from './fit-plan.ts'

export interface PlainCallbacks {
  onTrainBegin?(logs?: Logs): Promise<void>
  onEpochBegin?(epoch: number, logs?: Logs): Promise<void>
  onBatchBegin?(batch: number, logs?: Logs): Promise<void>
  onBatchEnd?(batch: number, logs?: Logs): Promise<void>
  onEpochEnd?(epoch: number, logs?: Logs): Promise<void>
  onTrainEnd?(logs?: Logs): Promise<void>
}

/** An instance of a callback class of tfjs-layers, or what can stand in for one. */
export interface CallbackInstance extends Required<PlainCallbacks> {
  setParams(params: FitParams): void
  setModel(model: unknown): void
}

/** @param given - what `fit` was given: one callback of either kind, or a list */
export function asPlainCallbacks(given: unknown, model: unknown): PlainCallbacks[] {
  const list: unknown[] = Array.isArray(given) ? given : [given]
  return list.map((entry) => (isInstance(entry) ? asPlain(entry, model) : (entry as PlainCallbacks)))
}

function isInstance(entry: unknown): entry is CallbackInstance {
  const { setParams, setModel } = (entry ?? {}) as Partial<CallbackInstance>
  return typeof setParams === 'function' && typeof setModel === 'function'
}

function asPlain(instance: CallbackInstance, model: unknown): Required<PlainCallbacks> {
  return {
    async onTrainBegin(this: unknown, logs) {
      instance.setParams(paramsOf(this) ?? {})
      instance.setModel(model)
      await instance.onTrainBegin(logs)
    },
    onEpochBegin: async (epoch, logs) => instance.onEpochBegin(epoch, logs),
    onBatchBegin: async (batch, logs) => instance.onBatchBegin(batch, logs),
    onBatchEnd: async (batch, logs) => instance.onBatchEnd(batch, logs),
    onEpochEnd: async (epoch, logs) => instance.onEpochEnd(epoch, logs),
    onTrainEnd: async (logs) => instance.onTrainEnd(logs),
  }
}

/** What tfjs-layers makes of a plain object: its functions under names without "on". */
const NAMES = {
  onTrainBegin: 'trainBegin',
  onEpochBegin: 'epochBegin',
  onBatchBegin: 'batchBegin',
  onBatchEnd: 'batchEnd',
  onEpochEnd: 'epochEnd',
  onTrainEnd: 'trainEnd',
} as const

/**
 * @param callbacks - what tfjs-layers has made of a list: its own instances
 * @throws AdasumError ERR_ARGUMENT if it has taken one of them for a plain object
 */
export function checkKinds(callbacks: unknown): void {
  if (!Array.isArray(callbacks) || !callbacks.some(isTornFromInstance)) return
  throw new AdasumError(
    'ERR_ARGUMENT',
    'the callbacks are instances of classes, such as EarlyStopping, and plain objects, such as distribute() gives. Make the list before the call: `const callbacks = [...]`, then `model.fit(x, y, { callbacks })`.',
  )
}

/** Functions of an instance called on another object: some of them are those of the classes that all instances have. */
function isTornFromInstance(callback: object): boolean {
  for (
    let at = Object.getPrototypeOf(callback) as object | null;
    at !== null;
    at = Object.getPrototypeOf(at) as object
  ) {
    for (const [name, short] of Object.entries(NAMES)) {
      const taken: unknown = Reflect.get(callback, short)
      if (typeof taken === 'function' && Object.hasOwn(at, name) && Reflect.get(at, name) === taken) return true
    }
  }
  return false
}

/**
 * The parameters of `fit`. tfjs-layers calls each function of a plain object on the instance that it made of it, which
 * has them.
 */
export function paramsOf(receiver: unknown): FitParams | undefined {
  return (receiver as { params?: FitParams } | undefined)?.params
}
