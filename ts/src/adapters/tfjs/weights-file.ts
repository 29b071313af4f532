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
import { weightText } from '../../optim/weight-layout.ts'
import { variablesOf, type Weights } from './variables.ts'

/** As safetensors files name the dtypes of weights. */
const DTYPE_NAMES: Record<WeightDtype, string> = { float32: 'F32', int32: 'I32', bool: 'BOOL' }

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
  const { name, shape } = variable
  const { buffer, byteOffset, byteLength } = await variable.data()
  const bytes = new Uint8Array(buffer, byteOffset, byteLength).slice()
  return { name, dtype: DTYPE_NAMES[variable.dtype as WeightDtype], shape, bytes }
}

function checkShapes(variables: readonly tf.Variable[], stored: readonly StoredWeight[], path: string): void {
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

/** @throws AdasumError as loadWeights() does */
export async function readStored(source: ByteSource, path: string): Promise<StoredWeight[]> {
  try {
    const { tensors, sha256 } = await decodeSafetensors(source)
    if (sha256 === undefined)
      throw new AdasumError(
        'ERR_UNSUPPORTED',
        `${path} is a safetensors file with ${tensors.length} tensors and without the checksum of saveWeights(), as other tools write them. Only files of saveWeights() can be loaded.`,
      )
    return tensors.map((tensor) => ({ ...tensor, dtype: weightDtypeOf(tensor) }))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const message = `${path} is not a whole file of saveWeights(): ${error.message}. Use an undamaged one.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }
}

function weightDtypeOf({ name, dtype }: StoredTensor): WeightDtype {
  const known = (Object.keys(DTYPE_NAMES) as WeightDtype[]).find((key) => DTYPE_NAMES[key] === dtype)
  if (known !== undefined) return known
  throw new FormatError(`${displayText(name)} is ${dtype}, which saveWeights() does not write`)
}
