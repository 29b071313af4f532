/** The tree of a hierarchical call: the machines, ordered by their lowest ranks, and below each machine its ranks. */
import { type Subtree, type Tree, cutDepths, ownersInOrder, subtreesBelow } from './tree.ts'

/** Which ranks share a machine. */
export interface MachinePlan {
  /** The ranks, machine by machine. Machines are ordered by their lowest ranks. */
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

/** The tree of machines and of the ranks of each. One of its cuts is at the machines. */
export class MachineTree implements Tree {
  /** The number of levels within machines. */
  readonly innerLevelCount: number
  /** The nodes of each level, in order. */
  readonly #nodes: readonly (readonly Subtree[])[]
  readonly #owners = new Map<string, Int32Array>()

  /** @param rankCounts - number of ranks on each machine */
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
