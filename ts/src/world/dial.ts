import type { Pipe } from '../transport/transport.ts'

/** Opens an authenticated connection to a rank of the world, for a group. */
export type Dial = (worldRank: number, groupId: string, signal: AbortSignal) => Promise<Pipe>
