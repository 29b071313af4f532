/**
 * Checkpoints of `model.fit`: after every so many epochs, and where training is stopped. A process that is told to end
 * wishes to stop; all ranks leave after the same batch, save, and go on behind `fit`.
 */
import { constants } from 'node:os'
import type { CheckpointValues } from '../../checkpoint/values.ts'
import { SAVE_OPTIONS, type SaveCheckpointOptions } from '../../checkpoint/save-checkpoint.ts'
import { AdasumError, inspect } from '../../errors.ts'
import { readOptions } from '../../tensor/check.ts'
import { checkCount } from '../../training/options.ts'
import type { OptionNames } from '../../types.ts'
import type { FitCallbacks } from './distribute.ts'
import type { TrainableModel } from './fit-hooks.ts'
import { saveTraining, type Training } from './training-checkpoint.ts'
import { checkModel } from './variables.ts'

export interface SavedTraining extends Training {
  /** The model that is fitted. */
  model: TrainableModel
  /** Gives the plain JSON that all ranks have in common, such as the state of a sampler, whenever a checkpoint is made. */
  values?: () => CheckpointValues
  /** The same for the plain JSON of this rank. */
  localValues?: () => CheckpointValues
}

/** Options of `trainingCheckpoints`. */
export interface TrainingCheckpointsOptions extends SaveCheckpointOptions {
  /** How many epochs there are from one checkpoint to the next. Default 1. */
  everyEpochs?: number
  /**
   * Signals that stop the training of all ranks, as `model.stopTraining` does. A second one ends the process as if there
   * were no such callback. Default: SIGINT and SIGTERM; an empty list: none.
   */
  signals?: readonly NodeJS.Signals[]
}

const CONTENT: OptionNames<SavedTraining> = { model: true, optimizer: true, values: true, localValues: true }
const OPTIONS: OptionNames<TrainingCheckpointsOptions> = {
  ...{ everyEpochs: true, signals: true },
  ...SAVE_OPTIONS,
}
/** No process can listen to them. */
const UNSTOPPABLE = ['SIGKILL', 'SIGSTOP']
const DEFAULT_SIGNALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM']

/**
 * Callbacks for `model.fit` and `model.fitDataset`, to be put behind those of `distribute`, with the same arguments on
 * every rank. They save as `saveTraining` does: every `everyEpochs` epochs, and at the end of training, however many
 * batches or epochs it had come to. What stops it may be a signal, `model.stopTraining` of any rank, or another callback.
 *
 * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range. `fit` rejects with what `saveTraining`
 *   throws
 */
export function trainingCheckpoints(
  folder: string,
  content: SavedTraining,
  options: TrainingCheckpointsOptions = {},
): FitCallbacks {
  const { model, optimizer, values, localValues } = readOptions(content, CONTENT)
  const { everyEpochs, signals, ...saving } = readOptions(options, OPTIONS)
  checkModel(model)
  checkGiver(values, 'values')
  checkGiver(localValues, 'localValues')
  const every = checkCount(everyEpochs, 'everyEpochs', 1)
  const stop = new StopSignals(checkSignals(signals), () => (model.stopTraining = true))
  let unsavedEpochs = 0
  const save = async (): Promise<void> => {
    unsavedEpochs = 0
    const json = { ...(values && { values: values() }), ...(localValues && { localValues: localValues() }) }
    await saveTraining(folder, { model, ...(optimizer && { optimizer }), ...json }, saving)
  }
  return {
    setParams: () => undefined,
    setModel: () => undefined,
    onTrainBegin: async () => {
      unsavedEpochs = 0
      stop.listen()
    },
    onEpochBegin: async () => undefined,
    onBatchBegin: async () => undefined,
    onBatchEnd: async () => undefined,
    onEpochEnd: async () => {
      if (++unsavedEpochs >= every) await save()
    },
    // Whether this rank knows of a wish to stop differs between ranks, how many epochs there were does not.
    onTrainEnd: async () => {
      stop.ignore()
      if (unsavedEpochs > 0) await save()
    },
  }
}

/** Calls a function at the first of some signals; the next one finds no listener, and does what it does by default. */
class StopSignals {
  readonly #signals: readonly NodeJS.Signals[]
  readonly #onSignal: () => void

  constructor(signals: readonly NodeJS.Signals[], onSignal: () => void) {
    this.#signals = signals
    this.#onSignal = onSignal
  }

  listen(): void {
    // A fit that failed has not come to its end.
    this.ignore()
    for (const signal of this.#signals) process.on(signal, this.#heed)
  }

  ignore(): void {
    for (const signal of this.#signals) process.off(signal, this.#heed)
  }

  readonly #heed = (): void => {
    this.ignore()
    this.#onSignal()
  }
}

function checkGiver(value: unknown, name: string): void {
  if (value === undefined || typeof value === 'function') return
  throw new AdasumError('ERR_ARGUMENT', `${name} is ${inspect(value)}; it must be a function that gives them.`)
}

function checkSignals(signals: unknown = DEFAULT_SIGNALS): readonly NodeJS.Signals[] {
  const isSignal = (signal: unknown): boolean =>
    typeof signal === 'string' && Object.hasOwn(constants.signals, signal) && !UNSTOPPABLE.includes(signal)
  if (Array.isArray(signals) && signals.every(isSignal)) return [...(signals as NodeJS.Signals[])]
  throw new AdasumError('ERR_ARGUMENT', `signals is ${inspect(signals)}; it must be a list such as ['SIGTERM'].`)
}
