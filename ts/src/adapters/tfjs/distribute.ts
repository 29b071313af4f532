import { checkCommunicator, type Collectives } from '../../optim/collectives.ts'
import { EXCHANGE_OPTIONS, type ExchangeOptions, type StepReduction } from '../../optim/flat-exchange.ts'
import { checkCount, checkExchangeOptions } from '../../optim/options.ts'
import type { OptionNames } from '../../types.ts'
import { type FitParams, FitSession, type Logs, type TrainableModel } from './fit-session.ts'
import { checkModel } from './variables.ts'

export interface DistributeOptions extends ExchangeOptions {
  /** Batches from one exchange to the next; the end of an epoch always exchanges what is pending. Default 1. */
  localSteps?: number
  /** Called after each exchange. */
  onReduction?: (reduction: StepReduction) => void
}

const DISTRIBUTE_OPTIONS: OptionNames<DistributeOptions> = { localSteps: true, onReduction: true, ...EXCHANGE_OPTIONS }

/** What `model.fit` and `model.fitDataset` take as `callbacks`. */
export interface FitCallbacks {
  onTrainBegin(logs?: Logs): Promise<void>
  onEpochBegin(epoch: number, logs?: Logs): Promise<void>
  onBatchBegin(batch: number, logs?: Logs): Promise<void>
  onBatchEnd(batch: number, logs?: Logs): Promise<void>
  onEpochEnd(epoch: number, logs?: Logs): Promise<void>
  onTrainEnd(logs?: Logs): Promise<void>
}

/**
 * Callbacks with which `model.fit` trains one model on all ranks. Compile the model with a plain optimizer; every rank
 * fits its own shard, and after each batch (or `localSteps` batches) the changes of the weights are combined:
 * start + op(local - start).
 *
 * - At the beginning the weights of rank 0 are given to all, and it is checked that samples, batch size, steps and
 *   epochs agree: a rank with one batch more would wait for the others for ever.
 * - At the end of an epoch, pending changes are combined, non-trainable weights averaged (batch normalization), and the
 *   numbers in `logs` become their averages over the ranks, so that `history` is the same everywhere.
 * - If one rank sets `model.stopTraining`, all stop: at their next exchange, or at the end of the epoch.
 *
 * Callbacks are plain functions. With others: `callbacks: [first, distribute(...), last]`; those before it see this
 * rank's logs, those after it the averages. A callback that stops training from its own rank's numbers goes before
 * it. Next to callback classes such as EarlyStopping: `new tf.CustomCallback(distribute(...))` first, then the class.
 * With `fit`, validation of an epoch runs before its last exchange, on this rank's weights (tfjs order).
 *
 * An error of any callback rejects `fit`: ERR_MISMATCH with the two numbers, ERR_NON_FINITE, the communicator's errors.
 *
 * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, or what is no model or communicator
 */
export function distribute(model: TrainableModel, comm: Collectives, options: DistributeOptions): FitCallbacks {
  checkModel(model)
  checkCommunicator(comm)
  const session = new FitSession(model, comm, {
    ...checkExchangeOptions(options, DISTRIBUTE_OPTIONS),
    localSteps: checkCount(options.localSteps, 'localSteps', 1),
    onReduction: options.onReduction,
  })
  return {
    onTrainBegin(this: unknown) {
      return session.begin(paramsOf(this, model))
    },
    onEpochBegin: () => session.beginEpoch(),
    onBatchBegin: () => session.beginBatch(),
    onBatchEnd: () => session.endBatch(),
    onEpochEnd: (_epoch, logs) => session.endEpoch(logs ?? {}),
    onTrainEnd: () => session.end(),
  }
}

/**
 * tfjs-layers calls each function on the callback object that it made from this one, and hands that object the
 * parameters of `fit`; the model's History has them too.
 */
function paramsOf(receiver: unknown, model: TrainableModel): FitParams {
  const { params } = (receiver ?? {}) as { params?: FitParams }
  const { history } = model as { history?: { params?: FitParams } }
  return params ?? history?.params ?? {}
}
