/** What charts of several studies have in common. */
import type { Setting } from '../../engine/study.ts'

/** A comparison of operators on one model, with one optimizer. */
export interface Comparison {
  readonly model: string
  readonly optimizer: string
  /** In words, such as "LeNet-5 with momentum". */
  readonly title: string
  readonly measure: 'accuracy' | 'loss'
}

/** Worse than the best by more is not worth the room; it is drawn at the edge. */
const SPAN = { accuracy: 0.15, loss: 1 }

/**
 * From the best value to the worst, or to `SPAN` from the best.
 *
 * @param ends - of intervals, which may need more room, but not much of it
 */
export function domainOf(
  values: readonly number[],
  measure: Comparison['measure'],
  ends: readonly number[] = [],
): [number, number] {
  const [span, room] = [SPAN[measure], SPAN[measure] / 4]
  const isLoss = measure === 'loss'
  const known = values.filter(Number.isFinite)
  const all = [...known, ...ends.filter(Number.isFinite)]
  const best = isLoss ? Math.min(...known) : Math.max(...known)
  const low = Math.max(Math.min(...all), best - (isLoss ? room : span))
  const high = Math.min(Math.max(...all), best + (isLoss ? span : room))
  const margin = 0.05 * (high - low) + 1e-3
  return [low - margin, isLoss ? high + margin : Math.min(1, high + margin)]
}

/** An axis for such values, with as many digits as tell its labels apart. */
export function axisOf(
  measure: Comparison['measure'],
  [low, high]: readonly [number, number],
  title: string,
): { title: string; format: string } {
  // About five labels.
  const step = ((high - low) / 5) * (measure === 'loss' ? 1 : 100)
  const places = Math.max(0, Math.ceil(-Math.log10(step)))
  return { title, format: `.${places}${measure === 'loss' ? 'f' : '%'}` }
}

export interface IntervalRow {
  readonly mean: number
  readonly low: number
  readonly high: number
}

/** A setting's mean and interval. */
export function intervalRow({ mean, interval }: Pick<Setting, 'mean' | 'interval'>): IntervalRow {
  return { mean, low: interval?.[0] ?? mean, high: interval?.[1] ?? mean }
}
