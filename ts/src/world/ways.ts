/** The ways in which this process can be connected to others: its transports, and memory that it can share. */
import { loadSharedMemory } from '#binding'
import { Heartbeat, type HeartbeatOptions } from '../heartbeat/heartbeat.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../shared-memory/shared-memory.ts'
import { securedTcp } from '../transport/secured.ts'
import { tcp } from '../transport/tcp.ts'
import type { TlsSetting } from '../transport/tls.ts'
import type { Transport } from '../transport/transport.ts'
import { HAS_UNIX_TRANSPORT, unixTransport } from '../transport/unix.ts'

export interface Ways {
  /** Reaches every rank, and the store. */
  readonly transport: Transport
  /** What takes its place in a process with such a secret and setting. */
  readonly secured?: ((secret: string, setting: TlsSetting) => Transport) | undefined
  /** Opens memory to share with ranks of this machine, up to the limit; undefined if this process can share none. */
  readonly openSharedMemory?: (limitByteLength: number) => SharedMemory | undefined
  /**
   * Reaches ranks that share memory, by a key that each of them announces. Without it, `transport` reaches them, too.
   */
  readonly nearTransport?: ((key: string) => Transport) | undefined
  /** Begins a world's heartbeat, over TCP. Without it, only connections that end tell that a rank is gone. */
  readonly beginHeartbeat?: (options: HeartbeatOptions) => Heartbeat
}

/** The ways of a Node.js process. */
export const NODE_WAYS: Ways = {
  transport: tcp,
  secured: securedTcp,
  openSharedMemory,
  nearTransport: HAS_UNIX_TRANSPORT ? unixTransport : undefined,
  beginHeartbeat: (options) => new Heartbeat(options),
}

/** The ways of a process that encrypts as it is told. */
export function securedWays(ways: Ways, { secret, tls }: { secret: string; tls: TlsSetting }): Ways {
  const transport = ways.secured?.(secret, tls)
  return transport === undefined ? ways : { ...ways, transport }
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
