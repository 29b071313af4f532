import { loadSharedMemory } from '#binding'
import { randomBytes } from 'node:crypto'
import { resolveSharedMemory } from '../../rendezvous/shared-memory-setting.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../../shared-memory/shared-memory.ts'
import { HAS_UNIX_TRANSPORT, unixTransport } from '../../transport/unix.ts'
import type { Problem } from './problem.ts'

export interface SharedMemorySection {
  /** Whether ADASUM_SHARED_MEMORY leaves it on. */
  isWanted: boolean
  /**
   * Whether a process can make such memory, open it as a peer would, and be reached over a Unix socket, where there are
   * any.
   */
  isUsable: boolean
  /** The most bytes that a rank reserves, if ADASUM_SHARED_MEMORY says so. */
  limitBytes: number | null
}

export async function examineSharedMemory(
  report: (problem: Problem) => void,
  env: NodeJS.ProcessEnv,
): Promise<SharedMemorySection> {
  const section = 'sharedMemory'
  const limit = limitOf(env, report)
  const setting = { isWanted: limit > 0, limitBytes: Number.isFinite(limit) && limit > 0 ? limit : null }
  if (!HAS_SHARED_MEMORY) return { ...setting, isUsable: false }
  try {
    new SharedMemory(loadSharedMemory()).probe()
    if (HAS_UNIX_TRANSPORT) await listenOnce()
    return { ...setting, isUsable: true }
  } catch (error) {
    const message = `ranks of this machine cannot share memory: ${(error as Error).message}`
    const action = 'nothing, if TCP is fast enough; else see whether a container or sandbox keeps processes apart'
    report({ section, essential: false, message, action })
    return { ...setting, isUsable: false }
  }
}

function limitOf(env: NodeJS.ProcessEnv, report: (problem: Problem) => void): number {
  try {
    return resolveSharedMemory(undefined, env['ADASUM_SHARED_MEMORY'])
  } catch (error) {
    const action = 'unset ADASUM_SHARED_MEMORY, or set it to such a value'
    report({ section: 'sharedMemory', essential: true, message: (error as Error).message, action })
    return 0
  }
}

async function listenOnce(): Promise<void> {
  const unix = unixTransport(randomBytes(16).toString('hex'))
  const listener = await unix.listen('127.0.0.1', 0, (pipe) => pipe.destroy())
  const pipe = await unix.dial(listener.host, listener.port)
  pipe.destroy()
  await listener.close()
}
