/** What lies in a folder of results: all runs, whichever study made them, and the machines they were made on. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from '../engine/machine.ts'
import { keyOf, readLines } from '../engine/results-file.ts'
import type { Comparison } from '../engine/study.ts'
import type { Cell, Result } from '../training/cell.ts'

export interface Run {
  readonly cell: Cell
  readonly result: Result
  /** The study that made it. */
  readonly madeBy: string
}

export interface Results {
  /** By the keys of their cells. */
  readonly runs: ReadonlyMap<string, Run>
  /** By study, one for each time that it was begun or went on. */
  readonly machines: ReadonlyMap<string, readonly Machine[]>
  /** By study, the last one; of those only that have come to their end. */
  readonly comparisons: ReadonlyMap<string, Comparison>
}

const SUFFIX = '.jsonl'

/**
 * @param folder - with a file NAME.jsonl for each study that has results; it need not be there
 * @param isRead - which of the files are read; default all
 * @throws Error for a whole line that is no JSON
 */
export function readResults(folder: string, isRead: (name: string) => boolean = () => true): Results {
  const runs = new Map<string, Run>()
  const machines = new Map<string, readonly Machine[]>()
  const comparisons = new Map<string, Comparison>()
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  for (const name of names.filter((each) => each.endsWith(SUFFIX) && isRead(each))) {
    const madeBy = name.slice(0, -SUFFIX.length)
    const lines = readLines(join(folder, name))
    machines.set(
      madeBy,
      lines.flatMap(({ machine }) => (machine ? [machine as Machine] : [])),
    )
    for (const { cell, result, processes } of lines) {
      if (processes) comparisons.set(madeBy, processes as Comparison)
      if (cell && result) runs.set(keyOf(cell), { cell: cell as Cell, result: result as Result, madeBy })
    }
  }
  return { runs, machines, comparisons }
}

/** The studies that have made runs of their own. */
export function studiesWithRuns({ runs }: Results): ReadonlySet<string> {
  return new Set([...runs.values()].map(({ madeBy }) => madeBy))
}
