/** Which ranks talk to each other: worlds of a thousand ranks cannot be connected all to all in one process. */
import { type Level, LevelPlanner } from '../../ts/src/collectives/level-plan.ts'
import type { LevelKind } from '../../ts/src/collectives/levels.ts'
import type { Layout } from '../../ts/src/tensor/layout.ts'
import type { Pair } from '../_world.ts'

/** Both directions of every two ranks that an all-reduce of that layout needs. */
export function pairsOf(kind: LevelKind, size: number, layout: Layout): Pair[] {
  const found = new Set<number>()
  const add = (a: number, b: number): void => {
    if (a !== b) found.add(a * size + b).add(b * size + a)
  }
  for (let rank = 0; rank < size; rank++) {
    for (const level of new LevelPlanner(kind, size, rank).plan(layout)) {
      for (const { rank: peer } of level.sends) add(rank, peer)
      if (level.node.first === rank) for (const sharers of sharersOf(level, layout)) addSharers(sharers, add)
    }
  }
  return [...found].map((pair) => [Math.floor(pair / size), pair % size])
}

function addSharers({ segment, ranks }: Sharers, add: (a: number, b: number) => void): void {
  if (ranks.length <= 16) for (const a of ranks) for (const b of ranks) add(a, b)
  else for (const a of ranks) add(a, ranks[segment % ranks.length]!)
}

interface Sharers {
  segment: number
  ranks: number[]
}

/** For each segment, the owners of a node that have elements of it. */
function sharersOf({ owners, begins }: Level, { segmentBegins }: Layout): Sharers[] {
  return Array.from({ length: segmentBegins.length - 1 }, (_, segment) => ({
    segment,
    ranks: [...owners].filter(
      (__, i) => Math.max(begins[i]!, segmentBegins[segment]!) < Math.min(begins[i + 1]!, segmentBegins[segment + 1]!),
    ),
  }))
}
