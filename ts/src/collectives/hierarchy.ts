/**
 * Hierarchical Adasum: ranks of one machine first, then Adasum across machines. It is an operator of its own.
 *
 *     v_m = op of the gradients on machine m        op: sum, average or adasum
 *     result = Adasum of v_0, v_1, ...              each counting as many times as its machine has ranks
 *
 * Machines stand in the order of their lowest ranks. Numbering the ranks machine by machine makes each machine a run of
 * consecutive ranks, and the whole a tree whose lowest cut is the machines: the schedule is that of levels (levels.ts), and
 * what crosses machines is what the intervals of the last levels have not in common. Machines of equal size: each rank sends
 * its own interval, 1/s of the vector for s ranks a machine, to those in the same place on the other machines.
 *
 *     two machines of two    level 0   0 ◄──► 1     2 ◄──► 3      half of the vector each
 *                            level 1   0 ◄──► 2     1 ◄──► 3      a quarter each, across machines
 *
 * Orthogonality is that of the machines' vectors: |result|^2 / sum |v_m|^2. The coefficients are those of the ranks.
 */
import { type SliceStatistics, segmentRowWidth } from '../kernels/reduce.ts'
import type { Layout } from '../tensor/layout.ts'
import type { AllReduceJob, Reduced } from './job.ts'
import { type Subtree, type Tree, cutDepths, ownersInOrder, subtreesBelow } from './levels.ts'
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

/** Which ranks share a machine. */
export interface MachinePlan {
  /** Ranks machine by machine, machines in the order of their lowest ranks. */
  readonly order: Int32Array
  readonly tree: MachineTree
}

/** @param machines - the number of each rank's machine */
export function planMachines(machines: readonly number[]): MachinePlan {
  const byMachine = new Map<number, number[]>()
  machines.forEach((machine, rank) => {
    const ranks = byMachine.get(machine)
    if (ranks) ranks.push(rank)
    else byMachine.set(machine, [rank])
  })
  const groups = [...byMachine.values()]
  return { order: Int32Array.from(groups.flat()), tree: new MachineTree(groups.map(({ length }) => length)) }
}

/** The tree of machines, and below each machine that of its ranks, cut at least at the machines. */
export class MachineTree implements Tree {
  /** How many of the levels are within machines. */
  readonly innerLevelCount: number
  /** The nodes of each level, in order. */
  readonly #nodes: readonly (readonly Subtree[])[]
  readonly #owners = new Map<string, Int32Array>()

  /** @param rankCounts - of the machines */
  constructor(rankCounts: readonly number[]) {
    const begins = [0]
    for (const count of rankCounts) begins.push(begins.at(-1)! + count)
    const ranksOf = ({ first, count }: Subtree): Subtree => ({
      first: begins[first]!,
      count: begins[first + count]! - begins[first]!,
    })
    const most = Math.max(...rankCounts)
    const machines = rankCounts.map((_, machine) => ranksOf({ first: machine, count: 1 }))
    const inner = most === 1 ? [] : cutDepths('levels', most)
    // A machine alone has nothing above it.
    const outer = rankCounts.length === 1 ? [] : cutDepths('levels', rankCounts.length)
    this.innerLevelCount = inner.length
    this.#nodes = [
      ...inner.map((depth) => machines.flatMap((machine) => subtreesBelow(machine, depth))),
      ...outer.map((depth) => subtreesBelow({ first: 0, count: rankCounts.length }, depth).map(ranksOf)),
    ]
  }

  get levelCount(): number {
    return this.#nodes.length
  }

  inputsOf(level: number, { first, count }: Subtree): Subtree[] {
    if (level === 0) return Array.from({ length: count }, (_, i) => ({ first: first + i, count: 1 }))
    return this.#nodes[level - 1]!.filter((node) => first <= node.first && node.first < first + count)
  }

  owners(level: number, node: Subtree): Int32Array {
    const key = `${level} ${node.first}`
    let order = this.#owners.get(key)
    if (!order) this.#owners.set(key, (order = ownersInOrder(this, level, node)))
    return order
  }
}

/**
 * What the kernels do not find out within machines: the coefficients of sum and average, where a segment has elements; and
 * that a machine alone, at the root, has the only vector.
 */
export function completeStatistics(
  { firstSegment, values }: SliceStatistics,
  { segmentElementCounts }: Layout,
  { innerCoefficients }: Hierarchy,
  weights: Float64Array,
  isRoot: boolean,
): void {
  const width = segmentRowWidth(weights.length)
  const coefficients = innerCoefficients?.(weights)
  for (let at = 0, segment = firstSegment; at < values.length; at += width, segment++) {
    if (isRoot) values.set(ONLY_VECTOR, at)
    if (coefficients && segmentElementCounts[segment]! > 0) values.set(coefficients, at + width - weights.length)
  }
}

/** Orthogonality, and no squared norms that it could be compared with. */
const ONLY_VECTOR = [1, 0]

/** What was found out machine by machine, rank by rank. */
export function inRankOrder(reduced: Reduced, { hierarchy, statistics }: AllReduceJob): Reduced {
  if (!hierarchy) return reduced
  const { order } = hierarchy
  const flags = new Uint8Array(order.length)
  order.forEach((rank, i) => (flags[rank] = reduced.flags[i]!))
  if (statistics !== 'coefficients') return { ...reduced, flags }
  const width = 1 + order.length
  const rows = reduced.statistics.slice()
  for (let at = 0; at < rows.length; at += width)
    order.forEach((rank, i) => (rows[at + 1 + rank] = reduced.statistics[at + 1 + i]!))
  return { ...reduced, flags, statistics: rows }
}
