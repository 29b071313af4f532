/**
 * A study from its results alone. The study's own program runs, and is answered from the files. What has not been run
 * answers with NaN, and so does what follows from it: a rate that was to be chosen with it, and all runs at that rate.
 */
import type { Machine } from '../engine/machine.ts'
import { keyOf } from '../engine/results-file.ts'
import { type Comparison, MISSING, type Outcome, type Study } from '../engine/study.ts'
import type { Cell } from '../training/cell.ts'
import type { Results, Run } from './results.ts'

export interface Replay extends Outcome {
  readonly study: Study
  /** All that the study has asked for and that was there. */
  readonly runs: readonly Run[]
  /**
   * At least so many runs are still to be made. There are more if a grid grows, or if two settings whose rates are
   * not known yet come to different ones.
   */
  readonly missing: number
  /** Those that the study's own file names. */
  readonly machines: readonly Machine[]
  readonly comparison: Comparison | undefined
}

/** @param quick - whether the results are of a quick run */
export async function replay(study: Study, results: Results, quick: boolean = false): Promise<Replay> {
  const found = new Map<string, Run>()
  const missing = new Set<string>()
  const outcome = await study.run({
    quick,
    run: async (cells) =>
      cells.map((cell: Cell) => {
        const key = keyOf(cell)
        const run = results.runs.get(key)
        if (run === undefined) missing.add(key)
        else found.set(key, run)
        return run?.result ?? MISSING
      }),
  })
  return {
    ...outcome,
    study,
    runs: [...found.values()],
    missing: missing.size,
    machines: results.machines.get(study.name) ?? [],
    comparison: results.comparisons.get(study.name),
  }
}
