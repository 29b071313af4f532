/** Results that nobody has trained for, and outcomes that nobody has found: for what is made of them. */
import { keyOf } from '../../studies/engine/results-file.ts'
import { summarize } from '../../studies/engine/statistics.ts'
import type { Finding, Setting, Study } from '../../studies/engine/study.ts'
import { Figures, type Wanted, curveOf } from '../../studies/pages/figures.ts'
import type { Results, Run } from '../../studies/pages/results.ts'
import { type Cell, type EmulationPoint, type LogPoint, type Result, phasesOf } from '../../studies/training/cell.ts'

const MACHINE = {
  ...{ date: '2026-11-30T12:00:00.000Z', commit: '0123456789ab', adasum: '0.1.0', node: '20.19.0' },
  ...{ system: 'linux 6.1 x64', processor: 'made up', cores: 2, memoryGiB: 8, processes: 2 },
}

/** A result that depends on the cell alone: it is best at a rate of its own, and the seed moves it a little. */
export function resultOf(cell: Cell): Result {
  const best = cell.optimizer === 'momentum' || cell.optimizer === 'sgd' ? 0.02 : 0.004
  const workers = typeof cell.workers === 'number' ? cell.workers : 8
  const distance = Math.log2(cell.rate / best) - (cell.op === 'average' ? Math.log2(workers) / 2 : 0.4)
  const diverged = distance > 3
  const harm = { noise: 0.05, opposite: 0.02, bf16: 0.001, int8: 0.003, none: 0 }[
    cell.badWorker ?? cell.precision ?? 'none'
  ]
  const cost = 0.01 * distance ** 2 + 0.002 * Math.log2(workers) + harm * cell.op.length
  const accuracy = diverged ? 0.1 : 0.9 - cost + noise(cell, 1)
  return {
    accuracy,
    loss: diverged ? null : 2 - accuracy,
    diverged,
    steps: 10,
    seconds: 60,
    sha256: keyOf({ ...cell, workers: workers * (cell.microBatches ?? 1), microBatches: 1, isLogged: false }),
    ...(cell.isLogged && { log: logOf(cell) }),
    ...(cell.keepsLosses && { losses: lossesOf(cell) }),
    ...(cell.task === 'emulation' && { emulation: emulationOf(cell) }),
    ...(cell.probePieces && { probe: accuracy / 2 }),
  }
}

/** Something between -0.002 and 0.002 that has no meaning. */
const noise = ({ seed, rate }: Cell, salt: number): number => 0.002 * Math.sin(1000 * seed + 37 * salt + 1e4 * rate)

const logOf = (cell: Cell): LogPoint[] =>
  Array.from({ length: 40 }, (_, step) => {
    const signals = Array.from({ length: 10 }, (_, layer) => 0.5 / (1 + layer + step) + noise(cell, layer))
    const workers = cell.workers as number
    return {
      progress: step / 40,
      orthogonality: signals.map((signal) => (1 + workers * signal) / (1 + (workers * signal) / 2) ** 2),
      step: signals.map((signal) => workers / (1 + (workers * signal) / 2)),
      signal: signals,
    }
  })

const lossesOf = (cell: Cell): number[] => {
  const steps = phasesOf(cell).reduce((sum, phase) => sum + phase.steps, 0)
  return Array.from({ length: steps }, (_, step) => 0.4 + 2 / (1 + step / 20) + noise(cell, step))
}

const emulationOf = (cell: Cell): EmulationPoint[] =>
  Array.from({ length: 12 }, (_, place) => place / 12).flatMap((progress) =>
    (cell.workers as readonly number[]).map((workers) => ({
      progress,
      workers,
      distance: { sum: 0.02 * workers, average: 1 - 1 / workers, adasum: 0.01 * workers, damped: 0.2, adascale: 0.3 + noise(cell, workers) }, // prettier-ignore
    })),
  )

/** All runs that a study asks for. */
export async function resultsFor(
  study: Study,
  quick: boolean,
  of: (cell: Cell) => Result = resultOf,
): Promise<Results> {
  const runs = new Map<string, Run>()
  await study.run({
    quick,
    run: async (cells) =>
      cells.map((cell) => {
        const run = runs.get(keyOf(cell)) ?? { cell, result: of(cell), madeBy: study.name }
        runs.set(keyOf(cell), run)
        return run.result
      }),
  })
  const comparison = { workers: 4, op: 'adasum', of: 'deltas', equal: true }
  return {
    runs,
    machines: new Map([[study.name, [MACHINE]]]),
    comparisons: new Map([[study.name, comparison]]),
  }
}

/** The results without some runs. */
export function without(results: Results, isLeftOut: (cell: Cell) => boolean): Results {
  return { ...results, runs: new Map([...results.runs].filter(([, { cell }]) => !isLeftOut(cell))) }
}

export type Change = Partial<Pick<Setting, 'rate' | 'values' | 'diverged' | 'missing' | 'bestInsideGrid'>>

/** Settings, findings and runs as a test wants them. */
export class MadeUp {
  readonly #settings: Setting[] = []
  readonly #findings: Finding[] = []
  readonly #runs: Run[] = []

  /** More settings, one for each combination, all with the same values. */
  settings(wanted: {
    parts: readonly string[]
    curves: readonly string[]
    workers: readonly Setting['workers'][]
    model?: string
    optimizer?: string
    measure?: string
    values: readonly number[]
  }): this {
    const { model = 'lenet', optimizer = 'momentum', measure = 'accuracy', values } = wanted
    for (const part of wanted.parts)
      for (const curve of wanted.curves)
        for (const workers of wanted.workers) {
          const [op, of] = curve.split(' of ') as [string, string]
          const seeds = values.map((_, index) => 11 + index)
          const about = { part, model, optimizer, op, of, workers, rate: 0.01, seeds, values, measure, diverged: 0 }
          this.#settings.push({ ...about, ...summarize(values), bestInsideGrid: null })
        }
    return this
  }

  /** Changes all settings that match. */
  change({ part, curve, workers, model, optimizer }: Wanted, change: Change): this {
    let count = 0
    this.#settings.forEach((each, index) => {
      const isMeant =
        (part === undefined || each.part === part) &&
        (curve === undefined || curveOf(each) === curve) &&
        (workers === undefined || each.workers === workers) &&
        (model === undefined || each.model === model) &&
        (optimizer === undefined || each.optimizer === optimizer)
      if (!isMeant) return
      count++
      this.#settings[index] = { ...each, ...change, ...(change.values && summarize(change.values)) }
    })
    if (count === 0) throw new Error(`no setting is ${JSON.stringify({ part, curve, workers, model, optimizer })}`)
    return this
  }

  finding(name: string, values: readonly number[]): this {
    this.#findings.push({ name, ...summarize(values) })
    return this
  }

  runs(cell: Partial<Cell>, results: readonly Partial<Result>[]): this {
    results.forEach((result, index) =>
      this.#runs.push({ cell: { ...cell, seed: 11 + index } as Cell, result: result as Result, madeBy: 'a study' }),
    )
    return this
  }

  get figures(): Figures {
    return new Figures({ settings: this.#settings, findings: this.#findings, runs: this.#runs })
  }
}
