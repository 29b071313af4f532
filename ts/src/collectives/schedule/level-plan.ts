/**
 * One rank's part in a schedule by levels: for each level, which interval of the vector it reduces, which ranks send it
 * what for that, and what it sends to which ranks. All of it are pure functions of what all ranks know.
 *
 * On the way up, the owners of a node's inputs send what they hold to the node's owners. On the way down, the result
 * returns along the same paths: each owner of the node sends the owners of the inputs the part of their intervals that
 * lies in its own. A rank may have no elements to reduce, since a short vector has fewer blocks than there are ranks.
 * It still gets a message from one owner of each input, so that every rank of the node knows whose gradients were not
 * finite; nothing goes back to it.
 */
import type { Layout } from '../../tensor/layout.ts'
import { intervalAt } from '../../tensor/vector.ts'
import { type Interval, sliceBegins } from './slices.ts'
import { Cuts, type LevelKind, type Subtree, type Tree, indexOfRank, ownersBelow } from './tree.ts'

/** Elements `begin` to `end` of an input, sent by one of its owners to one of the node's. */
export interface Transfer extends Interval {
  /** The other rank, or this rank itself if it owns both. */
  readonly rank: number
  /** Index of the input. */
  readonly input: number
}

/** What a rank holds: all elements of the interval number `index`. */
interface Holding extends Interval {
  readonly index: number
}

/** One rank's part in a level. As a holding it is the interval that the rank reduces there. */
export interface Level extends Holding {
  readonly node: Subtree
  /** The subtrees whose results are combined, in rank order. */
  readonly inputs: readonly Subtree[]
  /** The index of the one that this rank is in. */
  readonly ownInput: number
  /** The node's ranks in the order of their intervals: owners[i] has elements begins[i] to begins[i + 1]. */
  readonly owners: Int32Array
  readonly begins: Float64Array
  /** Ordered by input, and then by element. What this rank gives itself is among them. */
  readonly receives: readonly Transfer[]
  readonly sends: readonly Transfer[]
}

/** Makes the plans of one rank of one world. */
export class LevelPlanner {
  readonly #tree: Tree
  readonly #world: Subtree
  readonly #rank: number

  /** @param tree - the tree and its cuts, or the kind of schedule that cuts the world's tree */
  constructor(tree: Tree | LevelKind, size: number, rank: number) {
    this.#tree = typeof tree === 'string' ? new Cuts(tree, size) : tree
    this.#world = { first: 0, count: size }
    this.#rank = rank
  }

  /** The levels in order, from the leaves to the root. */
  plan(layout: Layout): Level[] {
    const bySize = new Map<number, Float64Array>()
    const beginsOf = (count: number): Float64Array => {
      let begins = bySize.get(count)
      if (!begins) bySize.set(count, (begins = sliceBegins(layout, count)))
      return begins
    }
    const levels: Level[] = []
    let held: Holding = { index: 0, begin: 0, end: layout.elementCount }
    for (const node of this.#path()) {
      const level = planLevel(this.#tree, levels.length, node, this.#rank, held, beginsOf)
      levels.push(level)
      held = level
    }
    return levels
  }

  /** The nodes above this rank, level by level. */
  #path(): Subtree[] {
    const nodes: Subtree[] = []
    for (let level = this.#tree.levelCount - 1, node = this.#world; level >= 0; level--) {
      nodes.unshift(node)
      const inputs = this.#tree.inputsOf(level, node)
      node = inputs[indexOfRank(inputs, this.#rank)]!
    }
    return nodes
  }
}

type BeginsOf = (count: number) => Float64Array

function planLevel(tree: Tree, level: number, node: Subtree, rank: number, held: Holding, beginsOf: BeginsOf): Level {
  const inputs = tree.inputsOf(level, node)
  const owners = tree.owners(level, node).map((offset) => node.first + offset)
  const begins = beginsOf(node.count)
  const index = owners.indexOf(rank)
  const own = { index, begin: begins[index]!, end: begins[index + 1]! }
  const ownInput = indexOfRank(inputs, rank)
  const receives = inputs.flatMap((subtree, input) => {
    const sources = ownersBelow(tree, level, subtree)
    const parts = partsOf(beginsOf(subtree.count), own)
    if (parts.length === 0) parts.push({ ...own, index: spokesman(index, node.count, subtree.count) })
    return parts.map((part) => ({
      rank: subtree.first + sources[part.index]!,
      input,
      begin: part.begin,
      end: part.end,
    }))
  })
  const parts = [...partsOf(begins, held), ...idleOwners(begins, held.index, inputs[ownInput]!.count)]
  const sends = parts.map((part) => ({
    rank: owners[part.index]!,
    input: ownInput,
    begin: part.begin,
    end: part.end,
  }))
  return { ...own, node, inputs, ownInput, owners, begins, receives, sends }
}

/** The owner of an input that sends flags to the node's owner at `index`, if there are no elements to send. */
function spokesman(index: number, count: number, inputCount: number): number {
  return Math.floor((index * inputCount) / count)
}

/** The owners without elements whose spokesman is the owner of an input at `index`. */
function idleOwners(begins: Float64Array, index: number, inputCount: number): Holding[] {
  const count = begins.length - 1
  const idle: Holding[] = []
  for (let i = Math.ceil((index * count) / inputCount); spokesman(i, count, inputCount) === index && i < count; i++)
    if (begins[i] === begins[i + 1]) idle.push({ index: i, begin: begins[i]!, end: begins[i]! })
  return idle
}

/** The owners of the elements of [begin, end), and which of these each has. */
function partsOf(begins: Float64Array, { begin, end }: Holding): Holding[] {
  const parts: Holding[] = []
  for (let index = intervalAt(begins, begin); begins[index]! < end; index++)
    if (begins[index]! < begins[index + 1]!)
      parts.push({ index, begin: Math.max(begin, begins[index]!), end: Math.min(end, begins[index + 1]!) })
  return begin < end ? parts : []
}
