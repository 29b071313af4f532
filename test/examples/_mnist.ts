/** The example's modules, which are plain JavaScript, with the types that its JSDoc gives them, and made-up results. */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
export const EXAMPLE: string = join(ROOT, 'examples', 'mnist')

/** Imports a module of the example; the caller says what is in it. */
export async function load<M>(name: string): Promise<M> {
  return (await import(join(EXAMPLE, name))) as M
}

export interface Done {
  steps: number
  diverged: boolean
  loss: number
  seconds: number
  communicationSeconds: number
  bytesSent: number
  orthogonality: number[][]
  accuracy: number
  sha256: string
}

export interface Run {
  op: string
  ranks: number
  learningRate: number
  done: (Done | undefined)[]
  curve: { step: number; accuracy: number }[]
}

export interface Summary {
  op: string
  ranks: number
  learningRate: number
  accuracy: number
  steps: number
  seconds: number
  bytesSent: number
  orthogonality: number | null
  communicationShare: number
  weightsEqual: boolean
  sha256: string
  diverged: boolean
}

export interface Records {
  createRun: (run: { op: string; learningRate: number }, ranks: number) => Run
  record: (run: Run, rank: number, message: object) => void
  isDone: (run: Run) => boolean
  summarize: (run: Run) => Summary
  sortByRate: (summaries: Summary[]) => Summary[]
  toJson: (setting: { ranks: number; examples: number }, summaries: Summary[]) => string
}

const RANKS = 4

/** A finished run as the ranks would have reported it. */
export async function finishedRun(op: string, learningRate: number, change: Partial<Done> = {}): Promise<Run> {
  const { createRun, record } = await load<Records>('records.mjs')
  const ranks = op === 'none' ? 1 : RANKS
  const steps = op === 'none' ? 80 : 20
  const run = createRun({ op, learningRate }, ranks)
  for (const step of [1, steps / 2, steps]) record(run, 0, { type: 'point', step, accuracy: 0.9 + step / 1000 })
  const orthogonality =
    op === 'adasum' ? Array.from({ length: steps }, (_, i) => new Array<number>(10).fill(0.25 + i / 40)) : []
  for (let rank = 0; rank < ranks; rank++) {
    const done = { steps, diverged: false, loss: 0.1, seconds: 10 + rank, communicationSeconds: ranks > 1 ? 2 : 0 }
    const outcome = {
      bytesSent: ranks > 1 ? 1e6 : 0,
      orthogonality,
      accuracy: 0.97,
      sha256: 'ab'.repeat(32),
      ...change,
    }
    record(run, rank, { type: 'progress', ...done, step: steps })
    record(run, rank, { type: 'done', ...done, ...outcome })
  }
  return run
}

/** All eight runs, with these accuracies. */
export async function finishedRuns(
  accuracies: Record<string, Record<'none' | 'average' | 'sum' | 'adasum', number>>,
): Promise<Run[]> {
  const cases = Object.entries(accuracies).flatMap(([rate, byOp]) =>
    Object.entries(byOp).map(([op, accuracy]) => finishedRun(op, Number(rate), { accuracy })),
  )
  return Promise.all(cases)
}
