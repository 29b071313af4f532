/**
 * Levels: where the tree of ranks is cut, and which rank owns which interval at each cut.
 *
 * Adasum's tree splits n ranks into ceil(n/2) and floor(n/2), down to single ranks. A schedule cuts the tree at some
 * depths, the deepest first and the root last. Each cut is a level. At a level the ranks below a node divide the vector
 * into as many equal intervals as they are, and each rank reduces one interval of the node's inputs, which are the
 * results of the level before.
 *
 *     n = 6, cut at depths 1 and 0                            owned at the level
 *
 *                 0..5             level 1, two inputs        0 | 3 | 1 | 4 | 2 | 5
 *               /      \
 *           0..2        3..5       level 0, three inputs      0 | 1 | 2       3 | 4 | 5
 *           / | \       / | \
 *          0  1  2     3  4  5                                each its whole vector
 *
 * Owners are ordered by the midpoints of their old intervals, so that most or all of a rank's new interval is part of
 * its old one. The order depends on the sizes of subtrees alone, not on the layout of the data.
 *
 *   single-shot   one cut, at the root: all inputs at once
 *   levels        no node has more than 16 inputs: first at depth ceil(log2(n/16)), then 4 depths up at a time
 *   rvh           a cut at every depth, two inputs each: recursive vector halving, for powers of two
 */

export type LevelKind = 'single-shot' | 'levels' | 'rvh'

/** A node of the tree, given by the consecutive ranks below it. */
export interface Subtree {
  readonly first: number
  readonly count: number
}

/** The most inputs of a node under `levels`: four depths of the tree. */
const MOST_INPUTS = 16
const DEPTHS_A_LEVEL = Math.log2(MOST_INPUTS)

/** The depths at which the tree of `size` ranks is cut, in the order of the levels. */
export function cutDepths(kind: LevelKind, size: number): number[] {
  const depth = Math.ceil(Math.log2(size))
  const deepest = { 'single-shot': 0, levels: depth - DEPTHS_A_LEVEL, rvh: depth - 1 }[kind]
  const step = kind === 'rvh' ? 1 : DEPTHS_A_LEVEL
  const cuts = [Math.max(0, deepest)]
  while (cuts.at(-1)! > 0) cuts.push(Math.max(0, cuts.at(-1)! - step))
  return cuts
}

/** The subtrees `depth` below a node, in rank order. Leaves that are less deep are among them. */
export function subtreesBelow(node: Subtree, depth: number): Subtree[] {
  if (depth === 0 || node.count === 1) return [node]
  const left = { first: node.first, count: Math.ceil(node.count / 2) }
  const right = { first: node.first + left.count, count: node.count - left.count }
  return [...subtreesBelow(left, depth - 1), ...subtreesBelow(right, depth - 1)]
}

/** The index of the subtree that a rank is in. */
export function indexOfRank(subtrees: readonly Subtree[], rank: number): number {
  return subtrees.findIndex(({ first, count }) => first <= rank && rank < first + count)
}

/** A tree of consecutive ranks, and where it is cut, from the leaves up. */
export interface Tree {
  readonly levelCount: number
  /** The inputs of a node of a level: nodes of the level before, or single ranks. */
  inputsOf(level: number, node: Subtree): Subtree[]
  /** The owners of a node's intervals in order, as offsets from the node's first rank. */
  owners(level: number, node: Subtree): Int32Array
}

/** The owners of a node, ordered by the midpoints of their intervals at the level before. */
export function ownersInOrder(tree: Tree, level: number, node: Subtree): Int32Array {
  // Indexed by offset from the node's first rank. Equal fractions give equal numbers; others differ by far more than
  // rounding.
  const midpoints = new Float64Array(node.count)
  for (const input of tree.inputsOf(level, node))
    ownersBelow(tree, level, input).forEach(
      (offset, index) => (midpoints[input.first - node.first + offset] = (index + 0.5) / input.count),
    )
  return Int32Array.from(midpoints.keys()).sort((a, b) => midpoints[a]! - midpoints[b]! || a - b)
}

/** The owners of the intervals of an input of a level. */
export function ownersBelow(tree: Tree, level: number, input: Subtree): Int32Array {
  return level === 0 ? SINGLE : tree.owners(level - 1, input)
}

const SINGLE = Int32Array.of(0)

/** The cuts of one world's tree, and the orders of owners, which are computed once for each size of subtree. */
export class Cuts implements Tree {
  readonly #depths: readonly number[]
  readonly #orders: Map<number, Int32Array>[]

  constructor(kind: LevelKind, size: number) {
    this.#depths = cutDepths(kind, size)
    this.#orders = this.#depths.map(() => new Map<number, Int32Array>())
  }

  get levelCount(): number {
    return this.#depths.length
  }

  inputsOf(level: number, node: Subtree): Subtree[] {
    return subtreesBelow(node, level === 0 ? Infinity : this.#depths[level - 1]! - this.#depths[level]!)
  }

  owners(level: number, { count }: Subtree): Int32Array {
    let order = this.#orders[level]!.get(count)
    if (!order) this.#orders[level]!.set(count, (order = ownersInOrder(this, level, { first: 0, count })))
    return order
  }
}
