import { join } from 'node:path'
import { AdasumError } from '../errors.ts'
import { checkOptions, kindOf, wholeNumber } from '../tensor/check.ts'
import { checkCommunicator } from '../training/collectives.ts'
import { callOptionsOf } from '../training/options.ts'
import { CALL_OPTIONS, type CallOptions, type OptionNames } from '../types.ts'
import { checkpointPath, makeFolder, nextNumber, outdatedIn, removeCheckpoint, removeOwnFile } from './checkpoint-folder.ts' // prettier-ignore
import { checkPath, replaceFile, syncFolder } from './durable-file.ts'
import { type Part, writeManifest } from './manifest.ts'
import { type EncodedFile, encodeSafetensors } from './safetensors.ts'
import { type Peers, type Team, together } from './team.ts'
import { storedTensors, type TensorInputs } from './tensors.ts'
import { type CheckpointValues, copyValues } from './values.ts'

/** What is saved. */
export interface CheckpointContent {
  /** What all ranks have in common, such as weights: rank 0's are stored. */
  arrays?: TensorInputs
  /** The same for numbers and text: step, epoch, the state of a sampler. */
  values?: CheckpointValues
  /** What each rank has for itself, such as momentum: that of every rank is stored. */
  local?: {
    /** Arrays by name. */
    arrays?: TensorInputs
    /** Plain JSON. */
    values?: CheckpointValues
  }
}

/** Options of `loadCheckpoint`, and of `saveCheckpoint` as well. */
export interface CheckpointOptions extends CallOptions {
  /** The communicator of all ranks that take part. Without it this process is alone. */
  comm?: Peers
}

/** Options of `saveCheckpoint`. */
export interface SaveCheckpointOptions extends CheckpointOptions {
  /** How many finished checkpoints stay, this one included. Default 2. */
  keep?: number
}

export const CHECKPOINT_OPTIONS: OptionNames<CheckpointOptions> = { comm: true, ...CALL_OPTIONS }
export const SAVE_OPTIONS: OptionNames<SaveCheckpointOptions> = { keep: true, ...CHECKPOINT_OPTIONS }
const CONTENT: OptionNames<CheckpointContent> = { arrays: true, values: true, local: true }
const LOCAL_CONTENT: OptionNames<NonNullable<CheckpointContent['local']>> = { arrays: true, values: true }
const DEFAULT_KEEP = 2

export const SHARED_FILE = 'shared.safetensors'
export const localFile = (rank: number): string => `rank-${rank}.safetensors`

const ALONE = {
  ...{ rank: 0, size: 1 },
  allGather: () => Promise.reject(new Error('there is no other rank')),
  broadcast: () => Promise.reject(new Error('there is no other rank')),
} as unknown as Peers

/** @throws AdasumError ERR_ARGUMENT for a folder or communicator that is none */
export function teamOf(folder: string, { comm, ...call }: CheckpointOptions): Team {
  checkPath(folder, 'folder')
  if (comm !== undefined) checkCommunicator(comm)
  return { peers: comm ?? ALONE, call: callOptionsOf(call) }
}

/** A part of a checkpoint, ready to be written. */
interface EncodedPart {
  file: EncodedFile | undefined
  part: Part
}

/** What one rank stores. */
interface Encoded {
  shared: EncodedPart
  local: EncodedPart | undefined
}

/**
 * Saves the state of a run: arrays and plain values that all ranks have in common, and what each rank has for itself. Every
 * rank of the communicator calls it at the same point. Once it resolves, the checkpoint is on the disk, as a folder
 * `checkpoint-NNNNNN` in `folder`; before that, `loadCheckpoint` gives the one before. At whatever byte a rank or the machine
 * stops, a whole checkpoint is left.
 *
 * @param content - must not change before the promise settles
 * @returns the path of the checkpoint
 * @throws AdasumError ERR_ARGUMENT on all ranks, for content of one that cannot be stored, or, with the system's error as
 *   cause, a file that cannot be written; the communicator's own errors
 */
export async function saveCheckpoint(
  folder: string,
  content: CheckpointContent,
  options: SaveCheckpointOptions = {},
): Promise<string> {
  checkOptions(options, SAVE_OPTIONS)
  const { keep: wanted = DEFAULT_KEEP, ...rest } = options
  const team = teamOf(folder, rest)
  const keep = wholeNumber(wanted, 'keep', { least: 1 })
  const { rank } = team.peers
  let encoded: Encoded
  const [number] = (await together(team, () => {
    encoded = encode(content, rank === 0)
    return rank === 0 ? nextNumber(folder) : 0
  })) as [number, ...number[]]
  const { shared, local } = encoded!
  const path = checkpointPath(folder, number)
  const parts = await together(team, async () => {
    await makeFolder(path)
    if (rank === 0 && shared.file) await replaceFile(join(path, SHARED_FILE), shared.file.chunks)
    if (local?.file) await replaceFile(join(path, localFile(rank)), local.file.chunks)
    return local?.part ?? null
  }).catch(async (error: unknown) => {
    if (rank === 0) await removeCheckpoint(folder, number)
    throw error
  })
  const [outdated] = (await together(team, async () => {
    if (rank !== 0) return []
    await writeManifest(path, { shared: shared.part, local: parts })
    return outdatedIn(folder, number, keep)
  })) as [number[], ...number[][]]
  for (const old of outdated) await (rank === 0 ? removeCheckpoint(folder, old) : removeOwnFile(folder, old, localFile(rank))) // prettier-ignore
  await syncFolder(folder)
  return path
}

function encode(content: CheckpointContent, isFirst: boolean): Encoded {
  if (typeof content !== 'object' || content === null)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `the content must be an object; got ${kindOf(content)}. Pass { arrays, values, local }.`,
    )
  checkOptions(content, CONTENT)
  const { local, ...shared } = content
  if (local !== undefined) checkOptions(local, LOCAL_CONTENT)
  return { shared: encodePart(isFirst ? shared : {}, 'values'), local: local && encodePart(local, 'local.values') }
}

function encodePart({ arrays, values = {} }: NonNullable<CheckpointContent['local']>, what: string): EncodedPart {
  const file = arrays && encodeSafetensors(storedTensors(arrays))
  return { file, part: { sha256: file?.sha256 ?? null, values: copyValues(values, what) } }
}
