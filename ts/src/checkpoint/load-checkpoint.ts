import { join } from 'node:path'
import { emitWarning } from '#platform'
import { AdasumError, reasonOf } from '../errors.ts'
import { checkOptions } from '../tensor/check.ts'
import { checkpointPath, finishedIn } from './checkpoint-folder.ts'
import { type Manifest, type Part, readManifest } from './manifest.ts'
import type { StoredTensor } from './safetensors.ts'
import { readDecoded } from './safetensors-file.ts'
import { CHECKPOINT_OPTIONS, type CheckpointOptions, localFile, SHARED_FILE, teamOf } from './save-checkpoint.ts'
import { type Team, together } from './team.ts'
import { type FileTensor, fileTensor } from './tensors.ts'
import type { CheckpointValues } from './values.ts'

/** A checkpoint that was found. */
export interface Checkpoint {
  /** Where it lies. */
  readonly path: string
  /** How many ranks have saved it. */
  readonly size: number
  /** What all ranks have in common. */
  readonly arrays: ReadonlyMap<string, FileTensor>
  /** The plain JSON that all ranks had in common. */
  readonly values: CheckpointValues
  /** What a rank had for itself; undefined if it has stored nothing of the kind. */
  readonly local: LocalState | undefined
}

/** What a rank had for itself. */
export interface LocalState {
  /** Whose it was: this rank's own, or with more ranks than then, that of this rank modulo `size`. */
  readonly rank: number
  /** Its arrays, by name. */
  readonly arrays: ReadonlyMap<string, FileTensor>
  /** Its plain JSON. */
  readonly values: CheckpointValues
}

/** A finished checkpoint as rank 0 has found it. */
interface Found {
  readonly number: number
  readonly manifest: Manifest
  /** The shared tensors, without their bytes. */
  readonly specs: readonly (Omit<StoredTensor, 'bytes'> & { byteLength: number })[]
}

/**
 * Loads the newest checkpoint of a folder that is whole, on every rank of the communicator. What all ranks have in common
 * is read by rank 0 and sent to the others, and what a rank has for itself by that rank, so that the folder need not be
 * the same disk for all. A checkpoint that is damaged is passed over with the warning ADASUM_CHECKPOINT.
 *
 * @returns undefined if there is none, or no such folder
 * @throws AdasumError ERR_ARGUMENT if there are checkpoints and all are damaged, naming what is wrong with each;
 *   ERR_OUT_OF_MEMORY; the communicator's own errors
 */
export async function loadCheckpoint(folder: string, options: CheckpointOptions = {}): Promise<Checkpoint | undefined> {
  checkOptions(options, CHECKPOINT_OPTIONS)
  const team = teamOf(folder, options)
  const damaged: string[] = []
  const finished = await sharedByFirst(team, () => finishedIn(folder))
  for (const number of finished) {
    try {
      const checkpoint = await load(team, folder, number)
      if (damaged.length > 0 && team.peers.rank === 0)
        emitWarning(`${damaged.join(' ')} Going on from ${checkpoint.path}.`, 'ADASUM_CHECKPOINT')
      return checkpoint
    } catch (error) {
      // What is wrong with a file is wrong on all ranks; what is wrong with the world ends the search.
      if (!(error instanceof AdasumError) || error.code !== 'ERR_ARGUMENT') throw error
      damaged.push(`${checkpointPath(folder, number)} is damaged: ${reasonOf(error)}`)
    }
  }
  if (damaged.length === 0) return undefined
  throw new AdasumError('ERR_ARGUMENT', `no checkpoint of ${folder} is whole. ${damaged.join(' ')}`)
}

/** What rank 0's work resolves to, on all ranks. */
async function sharedByFirst<T>(team: Team, work: () => Promise<T>): Promise<T> {
  const [first] = await together(team, () => (team.peers.rank === 0 ? work() : null))
  return first as T
}

async function load(team: Team, folder: string, number: number): Promise<Checkpoint> {
  const path = checkpointPath(folder, number)
  const { rank } = team.peers
  let tensors: StoredTensor[] = []
  const { manifest, specs } = await sharedByFirst(team, async (): Promise<Found> => {
    const read = await readManifest(path)
    tensors = await readPart(read.shared, join(path, SHARED_FILE))
    const withoutBytes = tensors.map(({ bytes, ...spec }) => ({ ...spec, byteLength: bytes.byteLength }))
    return { number, manifest: read, specs: withoutBytes }
  })
  const owner = rank % manifest.local.length
  const part = manifest.local[owner] ?? null
  let own: StoredTensor[] = []
  await together(team, async () => {
    if (part !== null) own = await readPart(part, join(path, localFile(owner)))
    if (rank !== 0) tensors = specs.map(({ byteLength, ...spec }) => ({ ...spec, bytes: new Uint8Array(byteLength) }))
  })
  if (team.peers.size > 1)
    for (const { bytes } of tensors) if (bytes.length > 0) await team.peers.broadcast(bytes, team.call)
  return {
    ...{ path, size: manifest.local.length, arrays: byName(tensors), values: manifest.shared.values },
    local: part === null ? undefined : { rank: owner, arrays: byName(own), values: part.values },
  }
}

/** @throws AdasumError ERR_ARGUMENT for a file that is not whole, or not the one that was written */
async function readPart({ sha256 }: Part, path: string): Promise<StoredTensor[]> {
  if (sha256 === null) return []
  const decoded = await readDecoded(path)
  if (decoded.sha256 === sha256) return decoded.tensors
  const message = `${path} has the SHA-256 ${decoded.sha256}, the manifest says ${sha256}.`
  throw new AdasumError('ERR_ARGUMENT', message)
}

function byName(tensors: readonly StoredTensor[]): Map<string, FileTensor> {
  return new Map(tensors.map((tensor) => [tensor.name, fileTensor(tensor)]))
}
