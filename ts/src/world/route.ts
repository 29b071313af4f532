/** A rank of the world, seen from this one. */
import type { Pipe } from '../transport/transport.ts'

export interface Route {
  /** Its machine, as the rendezvous numbers them. */
  readonly machine: number
  /** For messages, where it listens: `host:port`. */
  readonly address: string
  /** Whether this rank and that one may read each other's memory. Both must say the same. */
  readonly sharesMemory?: boolean
  /** Opens an authenticated connection for a group. */
  dial(groupId: string, signal: AbortSignal): Promise<Pipe>
}

/** The one of a world of one rank. */
export const ROUTE_TO_ONESELF: Route = {
  machine: 0,
  address: '',
  dial: () => Promise.reject(new Error('A world of one rank has no peers.')),
}
