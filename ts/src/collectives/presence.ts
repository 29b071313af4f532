/**
 * Which ranks take part in a reduction, and how much each counts: what ranks tell each other of their inputs beside the
 * numbers.
 *
 * The header of a rank's input has the rank's flags and, in a call with weights, its weight. Where results of several ranks
 * are sent on, those of all these ranks follow (levels/climb.ts). A rank is absent if its weight is 0, or if its input is
 * left out because it is not finite; nobody looks at its numbers then.
 */
import { NOT_FINITE } from '../group/descriptor.ts'
import { pairwiseSum } from '../kernels/doubles.ts'
import { countsIfEqual } from '../tensor/weights.ts'
import type { OnNonFinite } from '../types.ts'
import type { Subtree } from './schedule/tree.ts'

/** By rank, as far as it is known. */
export interface Presence {
  readonly flags: Uint8Array
  /** 1 in a call without weights. */
  readonly weights: Float64Array
}

/** The part of a job that decides who is absent. */
interface Policy {
  readonly onNonFinite: OnNonFinite
}

/** What a rank knows at the beginning: in a call with weights no other rank's. */
export function newPresence({ rank, size }: { rank: number; size: number }, weight: number | undefined): Presence {
  const weights = new Float64Array(size).fill(weight === undefined ? 1 : 0)
  if (weight !== undefined) weights[rank] = weight
  return { flags: new Uint8Array(size), weights }
}

/** That of consecutive ranks: the same memory. */
export function presenceOf({ flags, weights }: Presence, { first, count }: Subtree): Presence {
  return { flags: flags.subarray(first, first + count), weights: weights.subarray(first, first + count) }
}

export const isNonFinite = (flag: number): boolean => (flag & NOT_FINITE) !== 0

/** A rank's weight; 0 if the rank is absent. */
function weightOf({ onNonFinite }: Policy, { flags, weights }: Presence, rank: number): number {
  return onNonFinite === 'skip' && isNonFinite(flags[rank]!) ? 0 : weights[rank]!
}

/** The weight of each rank's input. (Here loops: a short call would notice the functions of arrays.) */
export function weightsOf(policy: Policy, presence: Presence): Float64Array {
  const weights = new Float64Array(presence.weights.length)
  for (let rank = 0; rank < weights.length; rank++) weights[rank] = weightOf(policy, presence, rank)
  return countsIfEqual(weights)
}

/** The weights of consecutive nodes of the tree: the sums over their ranks, in the order of the tree. */
export function weightsOfNodes(policy: Policy, presence: Presence, nodes: readonly Subtree[]): Float64Array {
  const { first } = nodes[0]!
  const count = nodes.reduce((sum, node) => sum + node.count, 0)
  const weights = weightsOf(policy, presenceOf(presence, { first, count }))
  return Float64Array.from(nodes, (node) => {
    const begin = node.first - first
    return pairwiseSum(weights.subarray(begin, begin + node.count))
  })
}

/** Whether any of the ranks takes part, by what is known. */
export function isAnyPresent(policy: Policy, presence: Presence): boolean {
  for (let rank = 0; rank < presence.weights.length; rank++) if (weightOf(policy, presence, rank) > 0) return true
  return false
}
