/** Tensors of TensorFlow.js as tensors of a file, and back. */
import * as tf from '@tensorflow/tfjs-core'
import type { FileTensor, TensorSpec } from '../../checkpoint/tensors.ts'
import { AdasumError } from '../../errors.ts'
import type { FlatWeights } from '../../optim/flat-weights.ts'
import { weightText } from '../../optim/weight-layout.ts'
import type { VariableDtype } from './variables.ts'

/** As safetensors files name the dtypes of weights. */
export const DTYPE_NAMES: Readonly<Record<VariableDtype, string>> = { float32: 'F32', int32: 'I32', bool: 'BOOL' }

export function weightDtypeOf(dtype: string): VariableDtype | undefined {
  return (Object.keys(DTYPE_NAMES) as VariableDtype[]).find((key) => DTYPE_NAMES[key] === dtype)
}

/** A copy of a tensor's values: the cpu backend hands out its own memory. */
export async function specOf(tensor: tf.Tensor): Promise<Required<TensorSpec>> {
  const data = (await tensor.data<'float32' | 'int32' | 'bool'>()).slice()
  return { data, shape: tensor.shape, dtype: DTYPE_NAMES[tensor.dtype as VariableDtype] }
}

/** A tensor over the memory of one of a file. */
export function tensorOf({ data, shape, dtype }: FileTensor): tf.Tensor {
  return tf.tensor(data as FlatWeights, [...shape], weightDtypeOf(dtype))
}

/** A weight as a file has it. */
export interface NamedWeight {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: string
}

/**
 * Compares variables with what a file has for them, by position.
 * @throws AdasumError ERR_MISMATCH with both shapes
 */
export function checkShapes(variables: readonly tf.Variable[], stored: readonly NamedWeight[], path: string): void {
  if (variables.length !== stored.length)
    throw new AdasumError(
      'ERR_MISMATCH',
      `${path} holds ${stored.length} weights, the model has ${variables.length}. Load it into the model that was saved.`,
    )
  variables.forEach((variable, index) => {
    const [mine, theirs] = [weightText(variable), weightText(stored[index]!)]
    if (mine === theirs) return
    const names = `weight ${index} (${variable.name}, in the file ${stored[index]!.name})`
    const message = `${path}: ${names} is ${mine} in the model and ${theirs} in the file. Load it into the model that was saved.`
    throw new AdasumError('ERR_MISMATCH', message)
  })
}
