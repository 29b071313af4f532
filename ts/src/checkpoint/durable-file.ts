/** Files that are whole or not there, whatever moment the process or the machine stops at. */
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AdasumError, inspect } from '../errors.ts'
import type { ByteSource } from './safetensors.ts'

/** Systems and Node.js take less than 2 GiB in a call. */
const MAX_CALL_BYTES = 2 ** 30

export function checkPath(path: unknown, what: string): void {
  if (typeof path === 'string' && path !== '') return
  const given = path === '' ? 'an empty string' : inspect(path)
  throw new AdasumError('ERR_ARGUMENT', `path is ${given}; it must be a string, the name of a ${what}.`)
}

/**
 * Writes a file beside its path, flushes it to the disk and renames it.
 * @throws AdasumError ERR_ARGUMENT with the system's error as cause
 */
export async function replaceFile(path: string, chunks: readonly Uint8Array[]): Promise<void> {
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
 * Opens a file for as long as `use` reads it.
 * @throws AdasumError ERR_ARGUMENT with the system's error as cause; what `use` throws, if that is one of ours
 */
export async function readFileWith<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    return await use(await sourceOf(file))
  } catch (cause) {
    if (cause instanceof AdasumError) throw cause
    throw new AdasumError('ERR_ARGUMENT', `${path} could not be read: ${String(cause)}. Check the path.`, { cause })
  } finally {
    await file?.close()
  }
}

/** Makes it last what a folder holds: names that came, went or changed. Where the system can open folders. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
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
