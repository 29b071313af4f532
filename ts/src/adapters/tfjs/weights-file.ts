import * as tf from '@tensorflow/tfjs-core'
import { checkPath, readFileWith, replaceFile } from '../../checkpoint/durable-file.ts'
import { displayText, FormatError } from '../../checkpoint/json-reader.ts'
import {
  type ByteSource,
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
} from '../../checkpoint/safetensors.ts'
import { AdasumError } from '../../errors.ts'
import { flatOf, type WeightDtype } from '../../optim/flat-weights.ts'
import { bytesOf } from '../../tensor/check.ts'
import { checkShapes, specOf, weightDtypeOf } from './stored-variables.ts'
import { variablesOf, type Weights } from './variables.ts'

/** A weight in a file. */
export interface StoredWeight extends StoredTensor {
  dtype: WeightDtype
}

/**
 * Writes all weights of a model, or a list of variables, to a file in the safetensors format. The file is whole or not
 * there: it is written beside its final path, flushed to the disk and then renamed. In a distributed run one rank is
 * enough: `if (comm.rank === 0) await saveWeights(model, path)`.
 *
 * @throws AdasumError ERR_ARGUMENT for what is no model or path, for names that the format cannot hold (`__metadata__`,
 *   the same one twice), and with the system's error as cause if the file cannot be written
 */
export async function saveWeights(weights: Weights, path: string): Promise<void> {
  checkPath(path, 'file')
  const variables = variablesOf(weights)
  await replaceFile(path, encodeSafetensors(await Promise.all(variables.map(storedTensor))).chunks)
}

/**
 * Reads weights written by `saveWeights` into a model or list of variables of the same shapes, by position. Nothing is
 * written before the whole file has been checked.
 *
 * @throws AdasumError ERR_MISMATCH with both shapes for another model's file; ERR_ARGUMENT for one that is missing,
 *   truncated or damaged; ERR_UNSUPPORTED for a whole one of another tool; ERR_OUT_OF_MEMORY
 */
export async function loadWeights(weights: Weights, path: string): Promise<void> {
  checkPath(path, 'file')
  const variables = variablesOf(weights)
  const stored = await readFileWith(path, (source) => readStored(source, path))
  checkShapes(variables, stored, path)
  tf.tidy(() => {
    const values = stored.map(({ dtype, shape, bytes }) => tf.tensor(flatOf(dtype, bytes), [...shape], dtype))
    values.forEach((value, index) => variables[index]!.assign(value))
  })
}

async function storedTensor(variable: tf.Variable): Promise<StoredTensor> {
  const { data, shape, dtype } = await specOf(variable)
  return { name: variable.name, dtype, shape, bytes: bytesOf(data) }
}

/** @throws AdasumError as loadWeights() does */
export async function readStored(source: ByteSource, path: string): Promise<StoredWeight[]> {
  try {
    const { tensors, sha256 } = await decodeSafetensors(source)
    if (sha256 === undefined)
      throw new AdasumError(
        'ERR_UNSUPPORTED',
        `${path} is a safetensors file with ${tensors.length} tensors and without the checksum of saveWeights(), as other tools write them. Only files of saveWeights() can be loaded.`,
      )
    return tensors.map((tensor) => ({ ...tensor, dtype: checkedDtype(tensor) }))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const message = `${path} is not a whole file of saveWeights(): ${error.message}. Use an undamaged one.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }
}

function checkedDtype({ name, dtype }: StoredTensor): WeightDtype {
  const known = weightDtypeOf(dtype)
  if (known !== undefined) return known
  throw new FormatError(`${displayText(name)} is ${dtype}, which saveWeights() does not write`)
}
