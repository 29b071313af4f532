/**
 * Hierarchical Adasum combines the ranks of each machine first, and then the machines by Adasum. It is an operator of
 * its own.
 *
 *     v_m = op of the gradients on machine m        op: sum, average or adasum
 *     result = Adasum of v_0, v_1, ...              each counting as many times as its machine has ranks
 *
 * Machines are ordered by their lowest ranks. Ranks are numbered machine by machine, so each machine has consecutive
 * numbers, and the whole is a tree that is cut at the machines: the schedule is that of levels (schedule/tree.ts). Only
 * the last levels send anything across machines. With s ranks on every machine, each rank sends its own interval, 1/s
 * of the vector, to the ranks in the same place on the other machines.
 *
 *     two machines of two    level 0   0 ◄──► 1     2 ◄──► 3      half of the vector each
 *                            level 1   0 ◄──► 2     1 ◄──► 3      a quarter each, across machines
 *
 * The reported orthogonality is that of the machines' vectors, |result|^2 / sum |v_m|^2. The coefficients are those of
 * the ranks.
 */
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { coefficientsOf, setOnlyVector } from '../kernels/statistics.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Reducer } from './reducer.ts'

export interface Hierarchy {
  /** The ranks, machine by machine. */
  readonly order: Int32Array
  /** The number of levels within machines. */
  readonly innerLevelCount: number
  /** The operator within machines. */
  readonly innerReducer: Reducer
  /** That operator's coefficients from the weights of its inputs, if its kernels do not report them. */
  readonly innerCoefficients: ((weights: Float64Array) => Float64Array) | undefined
}

/**
 * Adds what the kernels do not report within machines: the coefficients of sum and average, for segments that have
 * elements; and, if there is one machine only, that its vector is the only one.
 */
export function completeStatistics(
  statistics: SegmentRows,
  { segmentElementCounts }: Layout,
  { innerCoefficients }: Hierarchy,
  weights: Float64Array,
  isRoot: boolean,
): void {
  const coefficients = innerCoefficients?.(weights)
  for (let segment = statistics.firstSegment; segment < statistics.endSegment; segment++) {
    const row = statistics.row(segment)
    if (isRoot) setOnlyVector(row)
    if (coefficients && segmentElementCounts[segment]! > 0) coefficientsOf(row, weights.length).set(coefficients)
  }
}
