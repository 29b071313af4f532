import { checkCommunicator, type Collectives } from '../../training/collectives.ts'
import { type EpochModel, EpochSession, type SessionWords } from '../../training/epoch-session.ts'
import { EXCHANGE_OPTIONS, type ExchangeOptions, type StepReduction } from '../../training/flat-exchange.ts'
import { checkCount, checkExchangeOptions } from '../../training/options.ts'
import type { OptionNames } from '../../types.ts'
import { FitHooks, type TrainableModel } from './fit-hooks.ts'
import { type FitParams, planOf, sampleCountOf } from './fit-plan.ts'
import { type CallbackInstance, paramsOf } from './plain-callbacks.ts'
import { VariableWeights } from './variable-weights.ts'
import { checkModel, trainableVariables, uniqueVariables, variablesOf } from './variables.ts'

/** Options of `distribute`. */
export interface DistributeOptions extends ExchangeOptions {
  /** Batches from one exchange to the next; the end of an epoch always exchanges what is pending. Default 1. */
  localSteps?: number
  /** Called after each exchange. */
  onReduction?: (reduction: StepReduction) => void
}

const DISTRIBUTE_OPTIONS: OptionNames<DistributeOptions> = { localSteps: true, onReduction: true, ...EXCHANGE_OPTIONS }

const WORDS: SessionWords = {
  caller: 'distribute()',
  notBegun: 'a batch came before onTrainBegin. Pass all of its callbacks to fit.',
  sameSettings:
    'Give fit() shards of equal length (comm.shard), or with as many batches, and the same arguments on every rank.',
  sameEpochs: 'Stop training by model.stopTraining alone.',
}

/** What `model.fit` and `model.fitDataset` take as `callbacks`, or as one of them, whatever the others are. */
export type FitCallbacks = CallbackInstance

/**
 * Callbacks with which `model.fit` trains one model on all ranks. Compile the model with a plain optimizer; every rank
 * fits its own shard in batches of `batchSize`, which is per rank, and after each batch (or `localSteps` batches) the
 * changes of the weights are combined: start + op(local - start). With an op that takes weights, ranks count by the samples
 * of these batches.
 *
 * - At the beginning the weights of rank 0 are given to all, and it is checked that batches (or samples, where ranks do not
 *   count by them), batch size, steps and epochs agree: a rank with one batch more would wait for the others for ever.
 * - At the end of an epoch, pending changes are combined, non-trainable weights averaged (batch normalization), and the
 *   numbers in `logs` become their averages over the ranks, so that `history` is the same everywhere.
 * - If one rank sets `model.stopTraining`, at whatever moment since this call, all stop after the same batch: at their
 *   next exchange, or at the end of the epoch.
 *
 * With others: `callbacks: [first, distribute(...), last]`, plain objects and instances of callback classes such as
 * EarlyStopping alike (for a model that is not sequential, a list that was made before the call of `fit`); those before
 * it see this rank's logs, those after it the averages. `stopTraining`, `fit` and `fitDataset` of this model become
 * properties of its own. With `fit`, validation of an epoch runs before its last exchange, on this rank's weights (tfjs
 * order).
 *
 * An error of any callback rejects `fit`: ERR_MISMATCH with the two numbers, ERR_NON_FINITE, the communicator's errors.
 *
 * @throws AdasumError ERR_ARGUMENT for an option that is unknown or out of range, or what is no model or communicator;
 *   ERR_UNSUPPORTED for an operator that does not take so many ranks
 */
export function distribute(model: TrainableModel, comm: Collectives, options: DistributeOptions): FitCallbacks {
  checkModel(model)
  checkCommunicator(comm)
  const hooks = FitHooks.of(model)
  const checked = {
    ...checkExchangeOptions(options, DISTRIBUTE_OPTIONS, comm.size),
    localSteps: checkCount(options.localSteps, 'localSteps', 1),
    onReduction: options.onReduction,
  }
  const session = new EpochSession({ model: epochModelOf(model), loop: hooks }, comm, checked, WORDS)
  let given: FitParams | undefined
  return {
    // fit calls these two where the list has instances of callback classes.
    setParams: (params) => void (given = params),
    setModel: () => undefined,
    async onTrainBegin(this: unknown) {
      hooks.begin(session)
      await session.begin(planOf(paramsOf(this) ?? given ?? {}, session.countsSamples))
    },
    onEpochBegin: () => session.beginEpoch(),
    onBatchBegin: () => session.beginBatch(),
    onBatchEnd: (_batch, logs) => session.endBatch(sampleCountOf(logs)),
    onEpochEnd: (_epoch, logs) => session.endEpoch(logs ?? {}),
    onTrainEnd: () => session.end(),
  }
}

/** Looks up the weights each time that they are needed, since layers may be frozen in between. */
function epochModelOf(model: TrainableModel): EpochModel {
  return {
    weights: () => new VariableWeights(variablesOf(model)),
    trainableWeights: () => new VariableWeights(trainableVariables(model.trainableWeights)),
    nonTrainableWeights: () => new VariableWeights(uniqueVariables(model.nonTrainableWeights)),
  }
}
