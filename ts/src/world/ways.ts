/** In which ways this process can be connected, whoever its peers are. */
import { loadSharedMemory } from '#binding'
import { HAS_SHARED_MEMORY, SharedMemory } from '../shared-memory/shared-memory.ts'
import { tcp } from '../transport/tcp.ts'
import type { Transport } from '../transport/transport.ts'
import { HAS_UNIX_TRANSPORT, unixTransport } from '../transport/unix.ts'

export interface Ways {
  /** Reaches every rank, and the store. */
  readonly transport: Transport
  /** Memory to share with ranks of this machine, so many bytes of it at most; undefined if this process can share none. */
  readonly openSharedMemory?: (limitByteLength: number) => SharedMemory | undefined
  /** Reaches ranks that share memory, by a key that each of them announces. Without it they are reached like all others. */
  readonly nearTransport?: ((key: string) => Transport) | undefined
}

/** Those of a Node.js process. */
export const NODE_WAYS: Ways = {
  transport: tcp,
  openSharedMemory,
  nearTransport: HAS_UNIX_TRANSPORT ? unixTransport : undefined,
}

function openSharedMemory(limitByteLength: number): SharedMemory | undefined {
  if (limitByteLength === 0 || !HAS_SHARED_MEMORY) return undefined
  try {
    const memory = new SharedMemory(loadSharedMemory(), limitByteLength)
    memory.probe()
    return memory
  } catch {
    // `adasum doctor` says why.
    return undefined
  }
}
