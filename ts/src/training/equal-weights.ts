/**
 * Makes the weights of all ranks equal. Weights of one dtype travel in one buffer, those without elements not at all.
 */
import type { FlatWeights } from '../optim/flat-weights.ts'
import { weightLayout } from '../optim/weight-layout.ts'
import type { CallOptions } from '../types.ts'
import type { Collectives } from './collectives.ts'
import { copiesOf } from './flat-copies.ts'
import type { FlatMemory } from './flat-memory.ts'
import { checkSameLayout } from './layout-agreement.ts'
import type { WeightAccess } from './weight-access.ts'

export interface BroadcastOptions extends CallOptions {
  /** The rank whose weights all ranks get. */
  root: number
}

/** How an adapter's users call a broadcast, and where it finds its buffers; without `memory` it makes new ones. */
export interface BroadcastSetting {
  caller: string
  advice: string
  memory?: FlatMemory
}

const MODEL: BroadcastSetting = { caller: 'broadcastWeights()', advice: 'Build the same model on every rank.' }

/**
 * Gives every rank the root's weights. Nothing is written before everything has arrived.
 * @throws AdasumError ERR_MISMATCH with both shapes if the weights differ; the communicator's errors
 */
export async function broadcastFlat(
  access: WeightAccess<FlatWeights>,
  comm: Collectives,
  { root, ...call }: BroadcastOptions,
  { caller, advice, memory }: BroadcastSetting = MODEL,
): Promise<void> {
  await checkSameLayout(weightLayout(access.weights), { comm, caller, advice, call })
  const { values, flats } = await copiesOf(access, memory && ((dtype, count) => memory.of(dtype, count)))
  for (const { flat } of flats) await comm.broadcast(flat, { root, ...call })
  if (comm.rank !== root) access.writeWeights(values)
}

/**
 * Floating-point weights become their average over the ranks, others those of rank 0. Nothing is written before
 * everything has arrived.
 */
export async function averageFlat(
  access: WeightAccess<FlatWeights>,
  comm: Collectives,
  call: CallOptions,
): Promise<void> {
  const { values, flats } = await copiesOf(access)
  const [floats, others] = [true, false].map((isFloat) =>
    flats.filter(({ dtype }) => (dtype === 'float32') === isFloat),
  )
  for (const { flat } of floats!) await comm.allReduce(flat as Float32Array, { op: 'average', ...call })
  for (const { flat } of others!) await comm.broadcast(flat, { root: 0, ...call })
  if (flats.length > 0) access.writeWeights(values)
}
