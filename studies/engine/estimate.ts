/** How long a study takes, from measured speeds: it is run with made-up results, and the samples are counted. */
import { type Cell, type Result, phasesOf } from '../training/cell.ts'
import { keyOf } from './results-file.ts'
import type { Study } from './study.ts'

/**
 * Samples a second that one core trains, optimizers and exchange included, or evaluates. Measured on two cores of an AMD EPYC
 * of the third generation, both busy.
 */
const SPEEDS: Readonly<Record<Cell['model'], { training: number; evaluation: number }>> = {
  // A sample of text is a piece of 64 characters.
  lenet: { training: 6800, evaluation: 11_000 },
  residual: { training: 3700, evaluation: 7000 },
  characters: { training: 420, evaluation: 1600 },
  plain: { training: 100_000, evaluation: 300_000 },
}

/** Samples that a probe sees, for each that is evaluated. */
const PROBED = 2

/** Seconds that a core takes for a cell. */
export function secondsOf(cell: Cell): number {
  const { training, evaluation } = SPEEDS[cell.model]
  const samples =
    cell.task === 'emulation'
      ? cell.samples * (1 + sequenceShare(cell))
      : phasesOf(cell).reduce(
          (sum, { workers, steps }) => sum + workers * steps * cell.localBatch * (cell.microBatches ?? 1),
          0,
        )
  return samples / training + (cell.evaluationCount * (cell.probePieces ? 1 + PROBED : 1)) / evaluation
}

/** Batches that the comparisons of an emulation take, twice each, over those of its training. */
function sequenceShare({ workers, samples, localBatch }: Cell): number {
  const batches = (typeof workers === 'number' ? [workers] : workers).reduce((sum, count) => sum + count, 0)
  return Math.min(1000, (12 * 2 * batches) / (samples / localBatch))
}

export interface Estimate {
  readonly cells: number
  /** Seconds of one core. */
  readonly seconds: number
}

/** Runs a study with results that make the first rate in the middle of a grid the best. */
export async function estimate(study: Study, quick: boolean): Promise<Estimate> {
  const cells = new Map<string, number>()
  const rates = new Map<string, number>()
  await study.run({
    quick,
    run: async (asked) =>
      asked.map((cell, index) => {
        cells.set(keyOf(cell), secondsOf(cell))
        const { rate, seed: _seed, ...others } = cell
        const middle = asked[Math.floor((asked.length - 1) / 2)]!.rate
        const family = keyOf(others)
        if (!rates.has(family)) rates.set(family, middle)
        return madeUp(Math.abs(Math.log2(rate / rates.get(family)!)), index)
      }),
  })
  const seconds = [...cells.values()].reduce((sum, value) => sum + value, 0)
  return { cells: cells.size, seconds }
}

function madeUp(distance: number, index: number): Result {
  const emulation = [{ progress: 0, workers: 2, distance: { sum: 1, average: 1, adasum: 1, damped: 1, adascale: 1 } }]
  const log = [{ progress: 0, orthogonality: [1], step: [1], signal: [1] }]
  const base = { accuracy: 0.9 - distance / 100, loss: 1 + distance, diverged: false, steps: 1, seconds: 0, probe: 0.5 }
  return { ...base, sha256: '', emulation, log, losses: [1, 1, 1 + index / 1000] }
}
