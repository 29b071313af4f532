/** A prediction of docs/studies/predictions.md, and how it is judged. */
import { summarize } from '../engine/statistics.ts'
import { type Figures, Unfinished } from './figures.ts'

/**
 * Refuted: the prediction's own criterion is met. Held: what it says is true of the figures. Open: neither, or not all
 * of the runs are there.
 */
export type Verdict = 'held' | 'refuted' | 'open'

export interface Judgement {
  readonly verdict: Verdict
  /** The figures that decide it. */
  readonly figures: string
}

export interface Prediction {
  /** Its number in the study's section. */
  readonly number: number
  readonly predicted: string
  readonly refutedIf: string
  /** @throws Unfinished if something that it needs is not there */
  readonly judge: (figures: Figures) => Judgement
}

/** What is refuted has not held, whatever else is true of it. */
export function verdictOf({ held, refuted }: { held: boolean; refuted: boolean }): Verdict {
  if (refuted) return 'refuted'
  return held ? 'held' : 'open'
}

/** The judgement of a prediction; open if something is not there. */
export function judge({ judge }: Prediction, figures: Figures): Judgement {
  try {
    return judge(figures)
  } catch (error) {
    if (error instanceof Unfinished) return { verdict: 'open', figures: 'what it needs is not there' }
    throw error
  }
}

/** Where the 95 % interval of paired differences lies. Nothing is sure of a single pair. */
export function intervalOf(values: readonly number[]): {
  readonly mean: number
  readonly isKnown: boolean
  /** Whether the whole interval lies above a bound. */
  isAbove: (bound: number) => boolean
  isBelow: (bound: number) => boolean
} {
  const { mean, interval } = summarize(values)
  return {
    mean,
    isKnown: interval !== null,
    isAbove: (bound) => interval !== null && interval[0] > bound,
    isBelow: (bound) => interval !== null && interval[1] < bound,
  }
}
