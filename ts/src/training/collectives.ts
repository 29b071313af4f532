import type { Communicator } from '../communicator/communicator.ts'
import { AdasumError } from '../errors.ts'
import { kindOf } from '../tensor/check.ts'

/**
 * What optimizers need of a communicator. Without `allocate` they exchange arrays of ordinary memory, and without
 * `joinCount` no rank joins.
 */
export type Collectives = Pick<Communicator, 'rank' | 'size' | 'allReduce' | 'broadcast' | 'allGather'> &
  Partial<Pick<Communicator, 'allocate' | 'joinCount'>>

/** @throws AdasumError ERR_ARGUMENT for what is no communicator, such as the promise of one */
export function checkCommunicator(comm: unknown): void {
  const { allReduce, broadcast, allGather } = (comm ?? {}) as Partial<Collectives>
  if ([allReduce, broadcast, allGather].every((method) => typeof method === 'function')) return
  throw new AdasumError(
    'ERR_ARGUMENT',
    `comm must be a communicator; got ${kindOf(comm)}. Pass what \`await connect()\` gives.`,
  )
}
