/**
 * Hierarchical Adasum: ranks of one machine first, then Adasum across machines. It is an operator of its own.
 *
 *     v_m = op of the gradients on machine m        op: sum, average or adasum
 *     result = Adasum of v_0, v_1, ...              each counting as many times as its machine has ranks
 *
 * Machines stand in the order of their lowest ranks. Numbering the ranks machine by machine makes each machine a run of
 * consecutive ranks, and the whole a tree whose lowest cut is the machines: the schedule is that of levels (schedule/tree.ts), and
 * what crosses machines is what the intervals of the last levels have not in common. Machines of equal size: each rank sends
 * its own interval, 1/s of the vector for s ranks a machine, to those in the same place on the other machines.
 *
 *     two machines of two    level 0   0 ◄──► 1     2 ◄──► 3      half of the vector each
 *                            level 1   0 ◄──► 2     1 ◄──► 3      a quarter each, across machines
 *
 * Orthogonality is that of the machines' vectors: |result|^2 / sum |v_m|^2. The coefficients are those of the ranks.
 */
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { coefficientsOf, setOnlyVector } from '../kernels/statistics.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Reducer } from './reducer.ts'

export interface Hierarchy {
  /** Ranks machine by machine. */
  readonly order: Int32Array
  /** How many of the levels are within machines. */
  readonly innerLevelCount: number
  /** The operator within machines. */
  readonly innerReducer: Reducer
  /** Its coefficients, where it does not find them itself; from the weights of the inputs. */
  readonly innerCoefficients: ((weights: Float64Array) => Float64Array) | undefined
}

/**
 * What the kernels do not find out within machines: the coefficients of sum and average, where a segment has elements; and
 * that a machine alone, at the root, has the only vector.
 */
export function completeStatistics(
  statistics: SegmentRows,
  { segmentElementCounts }: Layout,
  { innerCoefficients }: Hierarchy,
  weights: Float64Array,
  isRoot: boolean,
): void {
  const coefficients = innerCoefficients?.(weights)
  for (const segment of statistics.segments()) {
    const row = statistics.row(segment)
    if (isRoot) setOnlyVector(row)
    if (coefficients && segmentElementCounts[segment]! > 0) coefficientsOf(row).set(coefficients)
  }
}
