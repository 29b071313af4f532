/**
 * Makes the weights of all ranks equal. Weights of one dtype travel in one buffer, those without elements not at all.
 */
import { type FlatWeights, newFlat, type WeightDtype } from '../optim/flat-weights.ts'
import { viewsOf, weightLayout } from '../optim/weight-layout.ts'
import type { CallOptions } from '../types.ts'
import type { Collectives } from './collectives.ts'
import { checkSameLayout } from './layout-agreement.ts'
import { readWeights, type WeightAccess } from './weight-access.ts'

export interface BroadcastOptions extends CallOptions {
  /** The rank whose weights all ranks get. */
  root: number
}

/** Copies of weights, and the buffers in which they lie. */
interface Copies {
  /** An array for each weight. */
  values: FlatWeights[]
  floats: Float32Array[]
  others: FlatWeights[]
}

/**
 * Gives every rank the root's weights. Nothing is written before everything has arrived.
 * @throws AdasumError ERR_MISMATCH with both shapes if the weights differ; the communicator's errors
 */
export async function broadcastFlat(
  access: WeightAccess<FlatWeights>,
  comm: Collectives,
  { root, ...call }: BroadcastOptions,
): Promise<void> {
  const advice = 'Build the same model on every rank.'
  await checkSameLayout(weightLayout(access.weights), { comm, caller: 'broadcastWeights()', advice, call })
  const { values, floats, others } = await copiesOf(access)
  for (const flat of [...floats, ...others]) await comm.broadcast(flat, { root, ...call })
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
  const { values, floats, others } = await copiesOf(access)
  for (const flat of floats) await comm.allReduce(flat, { op: 'average', ...call })
  for (const flat of others) await comm.broadcast(flat, { root: 0, ...call })
  if (floats.length + others.length > 0) access.writeWeights(values)
}

async function copiesOf(access: WeightAccess<FlatWeights>): Promise<Copies> {
  const copies: Copies = { values: [], floats: [], others: [] }
  for (const dtype of new Set(access.weights.map((weight) => weight.dtype as WeightDtype))) {
    const members = [...access.weights.entries()].filter(([, weight]) => weight.dtype === dtype)
    const layout = weightLayout(members.map(([, weight]) => weight))
    const flat = newFlat(dtype, layout.elementCount)
    viewsOf(layout, flat).forEach((view, member) => (copies.values[members[member]![0]] = view))
    if (flat.length === 0) continue
    if (dtype === 'float32') copies.floats.push(flat as Float32Array)
    else copies.others.push(flat)
  }
  await readWeights(access, copies.values, (index) => copies.values[index]!.length === 0)
  return copies
}
