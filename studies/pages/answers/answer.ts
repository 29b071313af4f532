/** What a study's page says beside tables and charts. */
import { type Figures, Unfinished, differenceText } from '../figures.ts'
import { type Prediction, intervalOf } from '../prediction.ts'

export interface Answer {
  readonly predictions: readonly Prediction[]
  /** One each of what came out; they throw Unfinished where figures are missing. */
  readonly sentences: readonly ((figures: Figures) => string)[]
}

/** The sentences whose figures are there. */
export function knownSentences({ sentences }: Answer, figures: Figures): string[] {
  return sentences.flatMap((sentence) => {
    try {
      return [sentence(figures)]
    } catch (error) {
      if (error instanceof Unfinished) return []
      throw error
    }
  })
}

/**
 * Who is ahead by how much, or that it is not clear.
 *
 * @param ahead - by seed: how much the first is better
 */
export function compared(
  first: string,
  second: string,
  ahead: readonly number[],
  measure: string = 'accuracy',
): string {
  const { isAbove, isBelow } = intervalOf(ahead)
  const difference = differenceText(ahead, measure)
  if (isAbove(0)) return `${first} is ahead of ${second} by ${difference}`
  if (isBelow(0)) return `${first} is behind ${second} by ${differenceText(ahead.map((value) => -value), measure)}` // prettier-ignore
  return `${first} less ${second} is ${difference}, which is no clear difference`
}
