import { CALL_OPTIONS, type CallOptions, type OptionNames } from '../../types.ts'
import { checkOptions } from '../../tensor/check.ts'
import { checkCommunicator, type Collectives } from '../../training/collectives.ts'
import { averageFlat, broadcastFlat } from '../../training/equal-weights.ts'
import { VariableWeights } from './variable-weights.ts'
import { checkModel, uniqueVariables, variablesOf, type WeightedModel, type Weights } from './variables.ts'

export interface BroadcastWeightsOptions extends CallOptions {
  /** The rank whose weights all ranks get. Default 0. */
  root?: number
}

const BROADCAST_OPTIONS: OptionNames<BroadcastWeightsOptions> = { root: true, ...CALL_OPTIONS }

/**
 * Gives every rank the root's weights, the non-trainable ones included. Weights are matched by position. Nothing is
 * written before everything has arrived.
 *
 * @throws AdasumError ERR_MISMATCH with both shapes if the models differ; ERR_ARGUMENT, ERR_UNSUPPORTED for what is not
 *   a model; the communicator's own errors
 */
export async function broadcastWeights(
  weights: Weights,
  comm: Collectives,
  options: BroadcastWeightsOptions = {},
): Promise<void> {
  checkCommunicator(comm)
  checkOptions(options, BROADCAST_OPTIONS)
  const { root = 0, ...call } = options
  await broadcastFlat(new VariableWeights(variablesOf(weights)), comm, { root, ...call })
}

/**
 * Makes the non-trainable weights of all ranks equal: floating-point ones (the moving mean and variance of batch
 * normalization) become their average, others those of rank 0. `distribute` does this at the end of every epoch.
 *
 * @throws AdasumError ERR_ARGUMENT for what is no model; the communicator's errors
 */
export async function averageNonTrainableWeights(
  model: WeightedModel,
  comm: Collectives,
  call: CallOptions = {},
): Promise<void> {
  checkModel(model)
  checkCommunicator(comm)
  checkOptions(call, CALL_OPTIONS)
  await averageFlat(new VariableWeights(uniqueVariables(model.nonTrainableWeights)), comm, call)
}
