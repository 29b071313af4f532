import type * as tf from '@tensorflow/tfjs-core'
import { CALL_OPTIONS, type CallOptions, type OptionNames } from '../../types.ts'
import { checkOptions } from '../../tensor/check.ts'
import { checkCommunicator, type Collectives } from '../../training/collectives.ts'
import type { WeightLayout } from '../../optim/weight-layout.ts'
import { checkSameLayout } from '../../training/layout-agreement.ts'
import {
  checkModel,
  type FlatWeights,
  layoutOfVariables,
  newFlat,
  readVariables,
  uniqueVariables,
  variablesOf,
  type WeightDtype,
  type WeightedModel,
  type Weights,
  writeVariables,
} from './variables.ts'

export interface BroadcastWeightsOptions extends CallOptions {
  /** The rank whose weights all ranks get. Default 0. */
  root?: number
}

const BROADCAST_OPTIONS: OptionNames<BroadcastWeightsOptions> = { root: true, ...CALL_OPTIONS }

/** The variables of one dtype, in one buffer. */
interface Group {
  variables: tf.Variable[]
  layout: WeightLayout
  flat: FlatWeights
}

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
  const variables = variablesOf(weights)
  const { root = 0, ...call } = options
  const advice = 'Build the same model on every rank.'
  await checkSameLayout(layoutOfVariables(variables), { comm, caller: 'broadcastWeights()', advice, call })
  await broadcastVariables(variables, comm, { root, ...call })
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
  const variables = uniqueVariables(model.nonTrainableWeights)
  const [floats, others] = [variables.filter(isFloat), variables.filter((variable) => !isFloat(variable))]
  for (const { variables: members, layout, flat } of await groupsOf(floats)) {
    await comm.allReduce(flat as Float32Array, { op: 'average', ...call })
    writeVariables(members, layout, flat)
  }
  await broadcastVariables(others, comm, { root: 0, ...call })
}

async function broadcastVariables(
  variables: readonly tf.Variable[],
  comm: Collectives,
  options: BroadcastWeightsOptions,
): Promise<void> {
  const groups = await groupsOf(variables)
  for (const { flat } of groups) await comm.broadcast(flat, options)
  if (comm.rank === options.root) return
  for (const { variables: members, layout, flat } of groups) writeVariables(members, layout, flat)
}

function isFloat({ dtype }: tf.Variable): boolean {
  return dtype === 'float32'
}

/** One group for each dtype that has elements; weights of no elements have nothing to say. */
async function groupsOf(variables: readonly tf.Variable[]): Promise<Group[]> {
  const groups: Group[] = []
  for (const dtype of new Set(variables.map((variable) => variable.dtype as WeightDtype))) {
    const members = variables.filter((variable) => variable.dtype === dtype && variable.size > 0)
    if (members.length === 0) continue
    const layout = layoutOfVariables(members)
    const flat = newFlat(dtype, layout.elementCount)
    await readVariables(members, layout, flat)
    groups.push({ variables: members, layout, flat })
  }
  return groups
}
