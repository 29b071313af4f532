/** Checkpoints in a folder: one folder each, numbered in the order in which they were saved. */
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { AdasumError, systemCode } from '../errors.ts'
import { syncFolder } from './durable-file.ts'
import { MANIFEST } from './manifest.ts'

const NAME = /^checkpoint-(\d{6,15})$/

export const checkpointPath = (folder: string, number: number): string =>
  join(folder, `checkpoint-${String(number).padStart(6, '0')}`)

/** Numbers of all checkpoints, the unfinished ones included, from the newest to the oldest. */
async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw new AdasumError('ERR_ARGUMENT', `${folder} could not be read: ${String(error)}. Check the folder.`, { cause: error }) // prettier-ignore
  })
  const numbers = names.flatMap((name) => NAME.exec(name)?.[1] ?? [])
  return numbers.map(Number).sort((a, b) => b - a)
}

const isFinished = (folder: string, number: number): boolean => existsSync(join(checkpointPath(folder, number), MANIFEST)) // prettier-ignore

/** Numbers of the finished checkpoints, from the newest to the oldest. */
export async function finishedIn(folder: string): Promise<number[]> {
  return (await numbersIn(folder)).filter((number) => isFinished(folder, number))
}

/** The number of the next checkpoint; the folder exists then. */
export async function nextNumber(folder: string): Promise<number> {
  await makeFolder(folder)
  const [newest = 0] = await numbersIn(folder)
  return newest + 1
}

/** Makes a folder and those above it, so that they last. */
export async function makeFolder(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true })
    for (let made = resolve(path); first !== undefined; made = dirname(made)) {
      await syncFolder(dirname(made))
      if (made === resolve(first) || made === dirname(made)) break
    }
  } catch (cause) {
    throw new AdasumError('ERR_ARGUMENT', `${path} could not be made: ${String(cause)}. Check the folder.`, { cause })
  }
}

/**
 * Which checkpoints go once `newest` is finished: all but the newest `keep` finished ones, and what interrupted saves
 * have left.
 */
export async function outdatedIn(folder: string, newest: number, keep: number): Promise<number[]> {
  const kept = new Set((await finishedIn(folder)).filter((number) => number <= newest).slice(0, keep))
  return (await numbersIn(folder)).filter((number) => number < newest && !kept.has(number))
}

/** Removes a checkpoint, its manifest first: a half that is left must not pass for a whole. Failures do not matter. */
export async function removeCheckpoint(folder: string, number: number): Promise<void> {
  const path = checkpointPath(folder, number)
  await rm(join(path, MANIFEST), { force: true }).catch(() => undefined)
  await rm(path, { recursive: true, force: true }).catch(() => undefined)
}

/** Removes one file of a checkpoint, and the checkpoint's folder if nothing else is in it. */
export async function removeOwnFile(folder: string, number: number, name: string): Promise<void> {
  const path = checkpointPath(folder, number)
  await rm(join(path, name), { force: true }).catch(() => undefined)
  await rmdir(path).catch(() => undefined)
}
