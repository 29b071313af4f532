/** Whole safetensors files, and sets of them that an index joins, as `model.safetensors.index.json` does. */
import { dirname, join } from 'node:path'
import { AdasumError } from '../errors.ts'
import { checkOptions, kindOf } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import { checkPath, readFileWith, replaceFile } from './durable-file.ts'
import { displayText, FormatError, isWellFormed } from './json-reader.ts'
import { type DecodedFile, decodeSafetensors, encodeSafetensors, OWN_METADATA } from './safetensors.ts'
import { readIndex } from './safetensors-index.ts'
import { type FileTensor, fileTensor, storedTensors, type TensorInputs } from './tensors.ts'

/** What a file, or a set of them, holds. */
export interface SafetensorsFile {
  /** In the order in which they were saved, or in that of the file or index of another tool. */
  readonly tensors: ReadonlyMap<string, FileTensor>
  /** What the file says of itself; empty for a set of files. */
  readonly metadata: ReadonlyMap<string, string>
}

/** Options of `writeSafetensors`. */
export interface WriteSafetensorsOptions {
  /** Text that other tools find in the file, by key. */
  metadata?: Readonly<Record<string, string>>
}

/** Options of `readSafetensors`. */
export interface ReadSafetensorsOptions {
  /** The tensors to be read, which must all be there; the others take no memory. Default: all of the file's. */
  names?: readonly string[]
}

const READ_OPTIONS: OptionNames<ReadSafetensorsOptions> = { names: true }
const WRITE_OPTIONS: OptionNames<WriteSafetensorsOptions> = { metadata: true }
const INDEX_SUFFIX = '.index.json'

/**
 * Writes named arrays to a file in the safetensors format, with a checksum. The file is whole or not there: it is
 * written beside its path, flushed to the disk and then renamed.
 *
 * @param tensors - typed arrays, or `{ data, shape, dtype }`; they must not change before the promise settles
 * @throws AdasumError ERR_ARGUMENT for arrays, names or metadata that the format cannot hold, and with the system's error as
 *   cause if the file cannot be written
 */
export async function writeSafetensors(
  path: string,
  tensors: TensorInputs,
  options: WriteSafetensorsOptions = {},
): Promise<void> {
  checkPath(path, 'file')
  checkOptions(options, WRITE_OPTIONS)
  const { metadata = {} } = options
  checkMetadata(metadata)
  await replaceFile(path, encodeSafetensors(storedTensors(tensors), metadata).chunks)
}

/**
 * Reads a safetensors file of any tool; a path that ends with `.index.json` stands for the files that it names, which
 * lie beside it. Headers, locations and, where there is one, the checksum are checked before anything is returned.
 *
 * @throws AdasumError ERR_ARGUMENT for a file that is missing, truncated, damaged or of another format, or has no tensor
 *   of one of the names; ERR_OUT_OF_MEMORY
 */
export async function readSafetensors(path: string, options: ReadSafetensorsOptions = {}): Promise<SafetensorsFile> {
  checkPath(path, 'file')
  checkOptions(options, READ_OPTIONS)
  const names = options.names === undefined ? undefined : checkedNames(options.names)
  if (path.endsWith(INDEX_SUFFIX)) return readSet(path, names)
  const { tensors, metadata } = await readDecoded(path, names)
  const found = new Map(tensors.map((tensor) => [tensor.name, fileTensor(tensor)]))
  checkFound(path, found, names)
  return { tensors: found, metadata }
}

/** @throws AdasumError as `readSafetensors` does */
export async function readDecoded(path: string, names?: ReadonlySet<string>): Promise<DecodedFile> {
  return readFileWith(path, (source) => naming(path, 'safetensors file', () => decodeSafetensors(source, names)))
}

function checkedNames(names: unknown): ReadonlySet<string> {
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return new Set<string>(names)
  throw new AdasumError('ERR_ARGUMENT', `names must be a list of strings; got ${kindOf(names)}.`)
}

function checkFound(path: string, found: ReadonlyMap<string, unknown>, names: Iterable<string> = []): void {
  const missing = [...names].find((name) => !found.has(name))
  if (missing === undefined) return
  const message = `${path} has no tensor ${displayText(missing)}. Use one of its names: readSafetensors(path) without names tells them.`
  throw new AdasumError('ERR_ARGUMENT', message)
}

/** Says in which file a mistake is. */
async function naming<T>(path: string, what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new AdasumError('ERR_ARGUMENT', `${path} is not a whole ${what}: ${error.message}. Use an undamaged one.`)
  }
}

async function readSet(path: string, names: ReadonlySet<string> | undefined): Promise<SafetensorsFile> {
  const index = await readFileWith(path, (source) =>
    naming(path, 'index of safetensors files', () => readIndex(source)),
  )
  checkFound(path, index, names)
  const fileOf = new Map([...index].filter(([name]) => names === undefined || names.has(name)))
  const found = new Map<string, FileTensor>()
  for (const file of new Set(fileOf.values())) {
    const { tensors } = await readDecoded(join(dirname(path), file), names)
    for (const tensor of tensors) if (fileOf.get(tensor.name) === file) found.set(tensor.name, fileTensor(tensor))
  }
  const missing = [...fileOf].find(([name]) => !found.has(name))
  if (missing !== undefined)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${path} says that ${displayText(missing[0])} is in ${displayText(missing[1])}, which has no such tensor. Use files of one set.`,
    )
  return { tensors: new Map([...fileOf.keys()].map((name) => [name, found.get(name)!])), metadata: new Map() }
}

function checkMetadata(metadata: unknown): void {
  if (typeof metadata !== 'object' || metadata === null)
    throw new AdasumError('ERR_ARGUMENT', 'metadata must be an object of texts. Pass { key: text }.')
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string' || !isWellFormed(value) || !isWellFormed(key))
      throw new AdasumError('ERR_ARGUMENT', `metadata ${displayText(key)} is no Unicode text. Pass a string.`)
    if ((OWN_METADATA as readonly string[]).includes(key))
      throw new AdasumError('ERR_ARGUMENT', `metadata ${displayText(key)} is written by adasum. Use another key.`)
  }
}
