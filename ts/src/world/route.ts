/** How this rank reaches another rank of the world. */
import type { Pipe } from '../transport/transport.ts'

export interface Route {
  /** The number of that rank's machine, as the rendezvous gives it. */
  readonly machine: number
  /** Where that rank listens, for messages: `host:port`. */
  readonly address: string
  /** Whether this rank and that one may read each other's memory. Both must say the same. */
  readonly sharesMemory?: boolean
  /** Opens an authenticated connection for a group. */
  dial(groupId: string, signal: AbortSignal): Promise<Pipe>
}

/** The only route in a world of one rank. */
export const ROUTE_TO_ONESELF: Route = {
  machine: 0,
  address: '',
  dial: () => Promise.reject(new Error('A world of one rank has no peers.')),
}
