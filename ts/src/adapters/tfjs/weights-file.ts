import * as tf from '@tensorflow/tfjs-core'
import { convertTensor } from '../../checkpoint/convert.ts'
import { checkPath, readFileWith, replaceFile } from '../../checkpoint/durable-file.ts'
import { displayText, FormatError } from '../../checkpoint/json-reader.ts'
import {
  type ByteSource,
  decodeSafetensors,
  encodeSafetensors,
  type StoredTensor,
} from '../../checkpoint/safetensors.ts'
import { readSafetensors } from '../../checkpoint/safetensors-file.ts'
import type { FileTensor } from '../../checkpoint/tensors.ts'
import { AdasumError, inspect } from '../../errors.ts'
import { flatOf, type FlatWeights } from '../../optim/flat-weights.ts'
import { bytesOf, checkFlag, checkOptions } from '../../tensor/check.ts'
import type { OptionNames } from '../../types.ts'
import { checkShapes, specOf, weightDtypeOf } from './stored-variables.ts'
import { type VariableDtype, variablesOf, type Weights } from './variables.ts'

/** A weight in a file. */
export interface StoredWeight extends StoredTensor {
  dtype: VariableDtype
}

/** The name of a variable's tensor in a file. */
export type NameOfWeight = (variable: tf.Variable, index: number) => string

/** Options of `saveWeights`. */
export interface SaveWeightsOptions {
  /** Default: the variable's own name. */
  nameOf?: NameOfWeight
}

/** Options of `loadWeights`. */
export interface LoadWeightsOptions {
  /** Matches by name, and not by position: the file may be any tool's, and hold other tensors as well. */
  nameOf?: NameOfWeight
  /** With `nameOf`: numbers of another dtype than the variable's are converted. Default false: they are an error. */
  convert?: boolean
}

const SAVE_OPTIONS: OptionNames<SaveWeightsOptions> = { nameOf: true }
const LOAD_OPTIONS: OptionNames<LoadWeightsOptions> = { nameOf: true, convert: true }

/**
 * Writes all weights of a model, or a list of variables, to a file in the safetensors format. The file is whole or not
 * there: it is written beside its final path, flushed to the disk and then renamed. In a distributed run one rank is
 * enough: `if (comm.rank === 0) await saveWeights(model, path)`.
 *
 * @throws AdasumError ERR_ARGUMENT for what is no model or path, for names that the format cannot hold (`__metadata__`,
 *   the same one twice), and with the system's error as cause if the file cannot be written
 */
export async function saveWeights(weights: Weights, path: string, options: SaveWeightsOptions = {}): Promise<void> {
  checkPath(path, 'file')
  checkOptions(options, SAVE_OPTIONS)
  const variables = variablesOf(weights)
  const names = options.nameOf === undefined ? variables.map(({ name }) => name) : namesOf(variables, options.nameOf)
  const tensors = await Promise.all(variables.map((variable, index) => storedTensor(variable, names[index]!)))
  await replaceFile(path, encodeSafetensors(tensors).chunks)
}

/**
 * Reads weights from a file in the safetensors format into a model or list of variables of the same shapes. Without
 * `nameOf` the file is one of `saveWeights`, and weights are matched by position. With it they are matched by name, and
 * the file may be any tool's, or with a path that ends with `.index.json` the set of files that the index names.
 * Nothing is written before everything has been checked.
 *
 * @throws AdasumError ERR_MISMATCH with both shapes or dtypes for another model's file; ERR_ARGUMENT for one that is
 *   missing, truncated or damaged, or has no tensor of a name; ERR_UNSUPPORTED without `nameOf` for a whole one of
 *   another tool, with it for numbers that cannot be converted; ERR_OUT_OF_MEMORY
 */
export async function loadWeights(weights: Weights, path: string, options: LoadWeightsOptions = {}): Promise<void> {
  checkPath(path, 'file')
  checkOptions(options, LOAD_OPTIONS)
  const { nameOf } = options
  const convert = checkFlag(options.convert, 'convert')
  if (nameOf === undefined && convert)
    throw new AdasumError('ERR_ARGUMENT', 'convert goes with nameOf: files of saveWeights() need no conversion.')
  const variables = variablesOf(weights)
  const values =
    nameOf === undefined
      ? await valuesByPosition(variables, path)
      : await valuesByName(variables, path, namesOf(variables, nameOf), convert)
  tf.tidy(() =>
    variables.forEach((variable, i) => variable.assign(tf.tensor(values[i]!, variable.shape, variable.dtype))),
  )
}

async function valuesByPosition(variables: readonly tf.Variable[], path: string): Promise<FlatWeights[]> {
  const stored = await readFileWith(path, (source) => readStored(source, path))
  checkShapes(variables, stored, path)
  return stored.map(({ dtype, bytes }) => flatOf(dtype, bytes))
}

async function valuesByName(
  variables: readonly tf.Variable[],
  path: string,
  names: readonly string[],
  convert: boolean,
): Promise<FlatWeights[]> {
  const { tensors } = await readSafetensors(path, { names })
  const stored = names.map((name) => ({ name, ...tensors.get(name)! }))
  const matched = stored.map((tensor, index) => {
    const dtype = convert ? variables[index]!.dtype : (weightDtypeOf(tensor.dtype) ?? tensor.dtype)
    return { ...tensor, dtype }
  })
  checkShapes(variables, matched, path)
  return stored.map((tensor, index) => converted(tensor, variables[index]!))
}

/** @throws AdasumError ERR_UNSUPPORTED, ERR_ARGUMENT as convertTensor() does, for a file's tensor that is no bool where one is needed */
function converted(tensor: FileTensor, { dtype, name }: tf.Variable): FlatWeights {
  if (weightDtypeOf(tensor.dtype) === dtype) return tensor.data as FlatWeights
  if (dtype !== 'bool') return convertTensor(tensor, dtype === 'int32' ? 'i32' : 'f32')
  throw new AdasumError('ERR_UNSUPPORTED', `${name} is bool and its tensor ${tensor.dtype}. Store it as BOOL.`)
}

/** @throws AdasumError ERR_ARGUMENT for what is no function, or gives no text or one twice */
function namesOf(variables: readonly tf.Variable[], nameOf: NameOfWeight): string[] {
  if (typeof nameOf !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `nameOf is ${inspect(nameOf)}; it must be a function of a variable.`)
  const seen = new Map<unknown, string>()
  return variables.map((variable, index) => {
    const name: unknown = nameOf(variable, index)
    if (typeof name !== 'string')
      throw new AdasumError(
        'ERR_ARGUMENT',
        `nameOf gives ${inspect(name)} for ${variable.name}; it must give a string.`,
      )
    if (seen.has(name))
      throw new AdasumError('ERR_ARGUMENT', `nameOf gives ${displayText(name)} for both ${seen.get(name)} and ${variable.name}.`) // prettier-ignore
    seen.set(name, variable.name)
    return name
  })
}

async function storedTensor(variable: tf.Variable, name: string): Promise<StoredTensor> {
  const { data, shape, dtype } = await specOf(variable)
  return { name, dtype, shape, bytes: bytesOf(data) }
}

/** @throws AdasumError as loadWeights() does */
export async function readStored(source: ByteSource, path: string): Promise<StoredWeight[]> {
  try {
    const { tensors, sha256 } = await decodeSafetensors(source)
    if (sha256 === undefined)
      throw new AdasumError(
        'ERR_UNSUPPORTED',
        `${path} is a safetensors file with ${tensors.length} tensors and without the checksum of saveWeights(), as other tools write them. Pass nameOf to match its tensors by name.`,
      )
    return tensors.map((tensor) => ({ ...tensor, dtype: checkedDtype(tensor) }))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const message = `${path} is not a whole file of saveWeights(): ${error.message}. Use an undamaged one.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }
}

function checkedDtype({ name, dtype }: StoredTensor): VariableDtype {
  const known = weightDtypeOf(dtype)
  if (known !== undefined) return known
  throw new FormatError(`${displayText(name)} is ${dtype}, which saveWeights() does not write`)
}
