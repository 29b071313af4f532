import { type FlatWeights, newFlat, type WeightDtype } from '../optim/flat-weights.ts'
import { viewsOf, weightLayout } from '../optim/weight-layout.ts'
import { readWeights, type WeightAccess } from './weight-access.ts'

/** Copies of the weights of one dtype, one behind the other. */
export interface FlatCopy {
  dtype: WeightDtype
  flat: FlatWeights
  /** Which weights they are, in the order in which they lie there. */
  members: readonly number[]
}

export interface FlatCopies {
  /** An array for each weight, in the memory of its dtype. */
  values: readonly FlatWeights[]
  /** Without those that have no elements. */
  flats: readonly FlatCopy[]
}

/**
 * Copies weights into one array a dtype, in which they travel.
 * @param newArray - makes or finds an array for them
 */
export async function copiesOf(
  access: WeightAccess<FlatWeights>,
  newArray: (dtype: WeightDtype, elementCount: number) => FlatWeights = newFlat,
): Promise<FlatCopies> {
  const values: FlatWeights[] = []
  const flats: FlatCopy[] = []
  for (const dtype of new Set(access.weights.map((weight) => weight.dtype as WeightDtype))) {
    const members = [...access.weights.keys()].filter((index) => access.weights[index]!.dtype === dtype)
    const layout = weightLayout(members.map((index) => access.weights[index]!))
    const flat = newArray(dtype, layout.elementCount)
    viewsOf(layout, flat).forEach((view, member) => (values[members[member]!] = view))
    if (flat.length > 0) flats.push({ dtype, flat, members })
  }
  await readWeights(access, values, (index) => values[index]!.length === 0)
  return { values, flats }
}
