import * as tf from '@tensorflow/tfjs-core'
import type { TensorSpec } from '../../checkpoint/tensors.ts'
import type { CheckpointValues } from '../../checkpoint/values.ts'
import { loadCheckpoint } from '../../checkpoint/load-checkpoint.ts'
import { type CheckpointOptions, saveCheckpoint, type SaveCheckpointOptions } from '../../checkpoint/save-checkpoint.ts'
import { AdasumError } from '../../errors.ts'
import { checkOptions, kindOf } from '../../tensor/check.ts'
import type { OptionNames } from '../../types.ts'
import type { DistributedOptimizer } from './distributed-optimizer.ts'
import { checkOptimizerArrays, optimizerArrays, setOptimizerArrays } from './optimizer-state.ts'
import { checkShapes, specOf, tensorOf, weightDtypeOf } from './stored-variables.ts'
import { variablesOf, type Weights } from './variables.ts'

/** What is trained. */
export interface Training {
  /** A model, or its variables. */
  model: Weights
  /** Default: no optimizer's state is kept. With `model.fit` it is `model.optimizer`. */
  optimizer?: tf.Optimizer | DistributedOptimizer
}

export interface TrainingContent extends Training {
  /** Plain JSON that all ranks have in common, such as the step and the state of a sampler: rank 0's is stored. */
  values?: CheckpointValues
  /** Plain JSON of this rank. */
  localValues?: CheckpointValues
}

/** What a checkpoint held beside weights and optimizer state. */
export interface LoadedTraining {
  /** Where the checkpoint lies. */
  readonly path: string
  /** How many ranks have saved it. */
  readonly size: number
  /** The plain JSON that all ranks had in common. */
  readonly values: CheckpointValues
  /** Whose optimizer state and local values this rank has got: its own, or with more ranks than then another's. */
  readonly localRank: number
  /** The plain JSON of rank `localRank`. */
  readonly localValues: CheckpointValues
}

const TRAINING: OptionNames<Training> = { model: true, optimizer: true }
const CONTENT: OptionNames<TrainingContent> = { values: true, localValues: true, ...TRAINING }
/** Before the names of a model's weights, with the position, by which they are matched. */
const MODEL = 'model/'

/**
 * Saves a model with the state of its optimizer, as `saveCheckpoint` of adasum/checkpoint does: the model of rank 0, the
 * optimizer of every rank. Every rank calls it at the same point, where no steps or gradients are pending: with
 * `localSteps` or `accumulate` after an exchange, or after `flush()`.
 *
 * @returns the path of the checkpoint
 * @throws AdasumError ERR_UNSUPPORTED for an optimizer that does not hand out its state; otherwise as `saveCheckpoint`
 */
export async function saveTraining(
  folder: string,
  content: TrainingContent,
  options: SaveCheckpointOptions = {},
): Promise<string> {
  checkOptions(content, CONTENT)
  const { model, values = {}, localValues = {} } = content
  const optimizer = innerOf(content.optimizer)
  const arrays = new Map<string, TensorSpec>()
  const isStored = (options.comm?.rank ?? 0) === 0
  for (const [index, variable] of variablesOf(model).entries())
    if (isStored) arrays.set(`${MODEL}${index}/${variable.name}`, await specOf(variable))
  const local = { values: localValues, ...(optimizer && { arrays: await optimizerArrays(optimizer) }) }
  return saveCheckpoint(folder, { arrays, values, local }, options)
}

/**
 * Loads the newest whole checkpoint into a model of the same shapes and an optimizer of the same class, on every rank. With
 * plain arithmetic (the cpu backend) the run goes on with the bits of one that was never interrupted. Nothing is written
 * before everything has been checked.
 *
 * @returns undefined, with model and optimizer as they were, if there is no checkpoint
 * @throws AdasumError ERR_MISMATCH for a checkpoint of another model or optimizer; otherwise as `loadCheckpoint`
 */
export async function loadTraining(
  folder: string,
  training: Training,
  options: CheckpointOptions = {},
): Promise<LoadedTraining | undefined> {
  checkOptions(training, TRAINING)
  const variables = variablesOf(training.model)
  const optimizer = innerOf(training.optimizer)
  const checkpoint = await loadCheckpoint(folder, options)
  if (checkpoint === undefined) return undefined
  const { path, size, values, arrays, local } = checkpoint
  const stored = [...arrays].filter(([name]) => name.startsWith(MODEL)).map(([name, tensor]) => ({ name, tensor }))
  const specs = stored.map(({ name, tensor }) => ({ name, shape: tensor.shape, dtype: weightDtypeOf(tensor.dtype) ?? tensor.dtype })) // prettier-ignore
  checkShapes(variables, specs, path)
  if (optimizer) checkOptimizerArrays(optimizer, local?.arrays ?? new Map())
  tf.tidy(() => variables.forEach((variable, index) => variable.assign(tensorOf(stored[index]!.tensor))))
  if (optimizer && local) await setOptimizerArrays(optimizer, local.arrays)
  return { path, size, values, localRank: local?.rank ?? 0, localValues: local?.values ?? {} }
}

/** @throws AdasumError ERR_ARGUMENT for what is no optimizer */
function innerOf(optimizer: Training['optimizer']): tf.Optimizer | undefined {
  if (optimizer === undefined) return undefined
  const inner: Partial<tf.Optimizer> | null = optimizer !== null && 'inner' in optimizer ? optimizer.inner : optimizer
  if (typeof inner?.getWeights === 'function') return inner as tf.Optimizer
  throw new AdasumError('ERR_ARGUMENT', `optimizer must be a tf.Optimizer; got ${kindOf(optimizer)}.`)
}
