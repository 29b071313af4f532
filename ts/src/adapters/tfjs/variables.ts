/** Which variables a model or a list of them has. */
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError } from '../../errors.ts'
import { isWeightDtype, type WeightDtype } from '../../optim/flat-weights.ts'
import { kindOf } from '../../tensor/check.ts'

/** The dtypes of weights that tensors have, too. */
export type VariableDtype = Exclude<WeightDtype, 'uint32'>

/** A weight of a tfjs-layers model: what it reads is the tf.Variable itself. */
export interface ModelWeight {
  /** The variable itself. */
  read(): tf.Tensor
}

/** The part of a tfjs-layers model (tf.LayersModel, tf.Sequential) that is used. */
export interface WeightedModel {
  /** All weights, in the order of the layers. */
  readonly weights: readonly ModelWeight[]
  /** Those that training changes. */
  readonly trainableWeights: readonly ModelWeight[]
  /** Those that are computed otherwise, such as the moving averages of batch normalization. */
  readonly nonTrainableWeights: readonly ModelWeight[]
}

/** A model, or the variables of one that was written with tfjs-core alone. */
export type Weights = WeightedModel | readonly tf.Variable[]

/** @throws AdasumError ERR_ARGUMENT for what has no weights, such as a model written with tfjs-core alone */
export function checkModel(model: unknown): void {
  const isObject = typeof model === 'object' && model !== null
  // Their values are not read: a model that is still to be built has none.
  if (isObject && ['weights', 'trainableWeights', 'nonTrainableWeights'].every((name) => name in model)) return
  const given = kindOf(model)
  throw new AdasumError('ERR_ARGUMENT', `model must be one of tfjs-layers; got ${given}. Pass a tf.LayersModel.`)
}

/**
 * All variables of a model or list, each once, in order.
 * @throws AdasumError ERR_ARGUMENT if it is neither or has none, ERR_UNSUPPORTED for a dtype that is not a number's
 */
export function variablesOf(weights: Weights): tf.Variable[] {
  const items: unknown = Array.isArray(weights) ? weights : (weights as Partial<WeightedModel> | undefined)?.weights
  if (!Array.isArray(items) || items.length === 0) {
    throw new AdasumError('ERR_ARGUMENT', 'expected a built model or an array of tf.Variable, with at least 1 weight.')
  }
  return uniqueVariables(items)
}

export function uniqueVariables(items: readonly unknown[]): tf.Variable[] {
  const variables = items.map((item, index) => {
    const value = isReadable(item) ? item.read() : item
    if (isVariable(value)) return value
    throw new AdasumError('ERR_ARGUMENT', `weight ${index} is not a tf.Variable.`)
  })
  for (const { name, dtype } of variables) {
    if (!isWeightDtype(dtype))
      throw new AdasumError(
        'ERR_UNSUPPORTED',
        `weight ${name} is ${dtype}; only float32, int32 and bool are supported.`,
      )
  }
  return [...new Set(variables)]
}

/**
 * Variables to be trained, each once, in order.
 * @throws AdasumError ERR_ARGUMENT if there is none, ERR_UNSUPPORTED for a dtype other than float32
 */
export function trainableVariables(items: readonly unknown[]): tf.Variable[] {
  const variables = uniqueVariables(items).filter(({ trainable }) => trainable)
  if (variables.length === 0)
    throw new AdasumError('ERR_ARGUMENT', `none of the ${items.length} variables is trainable. Pass at least 1.`)
  const other = variables.find(({ dtype }) => dtype !== 'float32')
  if (other === undefined) return variables
  throw new AdasumError('ERR_UNSUPPORTED', `variable ${other.name} is ${other.dtype}; only float32 can be trained.`)
}

function isReadable(item: unknown): item is ModelWeight {
  return typeof (item as Partial<ModelWeight> | undefined)?.read === 'function'
}

function isVariable(value: unknown): value is tf.Variable {
  return typeof value === 'object' && value !== null && value instanceof tf.Variable
}
