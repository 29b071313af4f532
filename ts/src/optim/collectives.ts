import type { Communicator } from '../communicator/communicator.ts'

/** What optimizers need of a communicator. */
export type Collectives = Pick<Communicator, 'rank' | 'size' | 'allReduce' | 'broadcast' | 'allGather'>
