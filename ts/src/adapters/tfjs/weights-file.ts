import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError, inspect } from '../../errors.ts'
import { flatOf, type WeightDtype } from '../../optim/flat-weights.ts'
import { weightText } from '../../optim/weight-layout.ts'
import { type ByteSource, decodeSafetensors, encodeSafetensors, type StoredTensor } from './safetensors.ts'
import { variablesOf, type Weights } from './variables.ts'

/** Systems and Node.js take less than 2 GiB in a call. */
const MAX_CALL_BYTES = 2 ** 30

/**
 * Writes all weights of a model, or a list of variables, to a file in the safetensors format. The file is whole or not
 * there: it is written beside its final path, flushed to the disk and then renamed. In a distributed run one rank is
 * enough: `if (comm.rank === 0) await saveWeights(model, path)`.
 *
 * @throws AdasumError ERR_ARGUMENT for what is no model or path, for names that the format cannot hold (`__metadata__`,
 *   the same one twice), and with the system's error as cause if the file cannot be written
 */
export async function saveWeights(weights: Weights, path: string): Promise<void> {
  checkPath(path)
  const variables = variablesOf(weights)
  const chunks = encodeSafetensors(await Promise.all(variables.map(storedTensor)))
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await writeDurably(temporary, chunks)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(temporary, { force: true })
    throw new AdasumError('ERR_ARGUMENT', `${path} could not be written: ${String(cause)}. Check the folder.`, {
      cause,
    })
  }
}

/**
 * Reads weights written by `saveWeights` into a model or list of variables of the same shapes, by position. Nothing is
 * written before the whole file has been checked.
 *
 * @throws AdasumError ERR_MISMATCH with both shapes for another model's file; ERR_ARGUMENT for one that is missing,
 *   truncated or damaged; ERR_UNSUPPORTED for a whole one of another tool; ERR_OUT_OF_MEMORY
 */
export async function loadWeights(weights: Weights, path: string): Promise<void> {
  checkPath(path)
  const variables = variablesOf(weights)
  const stored = await readStored(path)
  checkShapes(variables, stored, path)
  tf.tidy(() => {
    const values = stored.map(({ dtype, shape, bytes }) => tf.tensor(flatOf(dtype, bytes), [...shape], dtype))
    values.forEach((value, index) => variables[index]!.assign(value))
  })
}

function checkPath(path: unknown): void {
  if (typeof path === 'string' && path !== '') return
  const given = path === '' ? 'an empty string' : inspect(path)
  throw new AdasumError('ERR_ARGUMENT', `path is ${given}; it must be a string, the name of a file.`)
}

async function storedTensor(variable: tf.Variable): Promise<StoredTensor> {
  const { name, shape } = variable
  const { buffer, byteOffset, byteLength } = await variable.data()
  const bytes = new Uint8Array(buffer, byteOffset, byteLength).slice()
  return { name, dtype: variable.dtype as WeightDtype, shape, bytes }
}

function checkShapes(variables: readonly tf.Variable[], stored: readonly StoredTensor[], path: string): void {
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

async function readStored(path: string): Promise<StoredTensor[]> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    return await decodeSafetensors(await sourceOf(file), path)
  } catch (cause) {
    if (cause instanceof AdasumError) throw cause
    throw new AdasumError('ERR_ARGUMENT', `${path} could not be read: ${String(cause)}. Check the path.`, { cause })
  } finally {
    await file?.close()
  }
}

async function sourceOf(file: FileHandle): Promise<ByteSource> {
  const { size } = await file.stat()
  return {
    byteLength: size,
    read: async (position, target) => {
      for (let done = 0; done < target.byteLength;) {
        const count = Math.min(target.byteLength - done, MAX_CALL_BYTES)
        const { bytesRead } = await file.read(target, done, count, position + done)
        if (bytesRead === 0) throw new Error(`it had ${size} bytes and ends at ${position + done} now`)
        done += bytesRead
      }
    },
  }
}

async function writeDurably(path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await writeAll(file, chunks)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeAll(file: FileHandle, chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks) {
    for (let offset = 0; offset < chunk.byteLength;) {
      const { bytesWritten } = await file.write(chunk, offset, Math.min(chunk.byteLength - offset, MAX_CALL_BYTES))
      offset += bytesWritten
    }
  }
}

/** Makes the rename itself durable, where the system can open folders. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}
