/**
 * The manifest of a checkpoint. It is written when everything else is on the disk, so that a folder without one is what
 * an interrupted save has left.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AdasumError } from '../errors.ts'
import { replaceFile } from './durable-file.ts'
import { FormatError } from './json-reader.ts'
import type { CheckpointValues } from './values.ts'

/** What one rank, or all together, have stored. */
export interface Part {
  /** The hash of the file with the arrays; null where there are none. */
  readonly sha256: string | null
  readonly values: CheckpointValues
}

export interface Manifest {
  readonly shared: Part
  /** By rank; null for one that has stored nothing of its own. */
  readonly local: readonly (Part | null)[]
}

export const MANIFEST = 'manifest.json'
const FORMAT = 'adasum checkpoint 1'

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

export async function writeManifest(folder: string, content: Manifest): Promise<void> {
  const text = JSON.stringify({ format: FORMAT, sha256: hashOf(JSON.stringify(content)), content })
  await replaceFile(join(folder, MANIFEST), [new TextEncoder().encode(`${text}\n`)])
}

/** @throws AdasumError ERR_ARGUMENT for one that is damaged, or that a later version has written */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST)
  return parseManifest(await readFile(path, 'utf8'), path)
}

/**
 * @param path - of the file that has the text, for messages
 * @throws AdasumError as readManifest does
 */
export function parseManifest(text: string, path: string): Manifest {
  const { format, sha256, content } = parsed(text, path)
  if (format !== FORMAT || sha256 !== checksumOf(content))
    throw new AdasumError('ERR_ARGUMENT', `${path} is damaged, or of another version: its checksum does not agree.`)
  // A checksum says that nothing was damaged on the way, not who wrote it.
  if (isManifest(content)) return content
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${path} is none of a checkpoint: its fields are not those of one. Use another.`,
  )
}

/** The checksum is over what JSON.stringify made, which makes the same of what it reads. Undefined: it is nested too deeply. */
function checksumOf(content: unknown): string | undefined {
  try {
    return hashOf(JSON.stringify(content))
  } catch {
    return undefined
  }
}

function isManifest(content: unknown): content is Manifest {
  if (!isObject(content)) return false
  const { shared, local } = content
  return (
    isPart(shared) && Array.isArray(local) && local.length > 0 && local.every((part) => part === null || isPart(part))
  )
}

function isPart(part: unknown): part is Part {
  if (!isObject(part)) return false
  const { sha256, values } = part
  return (sha256 === null || (typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256))) && isObject(values)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parsed(text: string, path: string): Record<'format' | 'sha256' | 'content', unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) throw new FormatError('it is no object')
    return { format: undefined, sha256: undefined, content: null, ...value }
  } catch {
    throw new AdasumError('ERR_ARGUMENT', `${path} is damaged: it is no whole JSON.`)
  }
}
