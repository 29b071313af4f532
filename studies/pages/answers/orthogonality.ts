/** What the study orthogonality was expected to show, and what came out. */
import type { Summary } from '../../engine/statistics.ts'
import { DELTAS, type Figures, GRADIENTS, Unfinished, differenceText, numberText } from '../figures.ts'
import { type Prediction, verdictOf } from '../prediction.ts'
import type { Answer } from './answer.ts'

const CURVES = [DELTAS, GRADIENTS]
const DECAYS = ['linear', 'drops']
const about = (curve: string, decay: string): string => `${curve}, 32 workers, ${decay}`

const risesOf = (figures: Figures): { name: string; rise: Summary }[] =>
  CURVES.flatMap((curve) =>
    DECAYS.map((decay) => ({
      name: `${curve}, ${decay}`,
      rise: figures.finding(`${about(curve, decay)}: rise of orthogonality to the last tenth`),
    })),
  )

const dropsOf = (figures: Figures): Summary[] =>
  CURVES.map((curve) => figures.finding(`${about(curve, 'drops')}: rise of orthogonality at the first drop`))

const sharesOf = (figures: Figures): Summary[] =>
  CURVES.map((curve) => figures.finding(`${about(curve, 'linear')}: share of steps in which layers differ`))

/** By array of weights: the step that was measured over that of the formula. */
function ratiosOf(figures: Figures, curve: string): number[] {
  const names = figures.findingNames((name) => name.startsWith(`${about(curve, 'linear')}, array `))
  if (names.length === 0) throw new Unfinished(`ratios of ${curve}`)
  return names.map((name) => figures.finding(name).mean)
}

const isNear = (ratio: number): boolean => ratio >= 0.8 && ratio <= 1.2

const oneByOne = (summaries: readonly Summary[]): string =>
  CURVES.map((curve, index) => `${curve} ${differenceText(summaries[index]!, 'orthogonality')}`).join('; ')

export const predictions: readonly Prediction[] = [
  {
    number: 1,
    predicted: 'Orthogonality rises: its mean over layers at 32 workers is higher in the last tenth of training than in the first.', // prettier-ignore
    refutedIf: 'it is not',
    judge(figures) {
      const rises = risesOf(figures)
      const held = rises.every(({ rise }) => rise.mean > 0)
      return {
        verdict: verdictOf({ held, refuted: !held }),
        figures: rises.map(({ name, rise }) => `${name}: ${differenceText(rise, 'orthogonality')}`).join('; '),
      }
    },
  },
  {
    number: 2,
    predicted: 'Layers differ by more than 0.1 at the same step for most of the training.',
    refutedIf: 'less than half of the steps do',
    judge(figures) {
      const shares = sharesOf(figures)
      return {
        verdict: verdictOf({
          held: shares.every(({ mean }) => mean > 0.5),
          refuted: shares.some(({ mean }) => mean < 0.5),
        }),
        figures: `share of the steps: ${oneByOne(shares)}`,
      }
    },
  },
  {
    number: 3,
    predicted: 'On gradients the step that is measured over that of the formula lies between 0.8 and 1.2, in the mean over a layer’s steps.', // prettier-ignore
    refutedIf: 'it lies outside in most layers',
    judge(figures) {
      const ratios = ratiosOf(figures, GRADIENTS)
      const outside = ratios.filter((ratio) => !isNear(ratio)).length
      return {
        verdict: verdictOf({ held: outside === 0, refuted: outside > ratios.length / 2 }),
        figures: `${outside} of ${ratios.length} arrays lie outside: ${ratios.map((ratio) => numberText(ratio)).join(', ')}`,
      }
    },
  },
  {
    number: 4,
    predicted: 'When the rate falls, orthogonality rises within the next tenth of the steps.',
    refutedIf: 'it falls',
    judge(figures) {
      const drops = dropsOf(figures)
      return {
        verdict: verdictOf({
          held: drops.every(({ mean }) => mean > 0),
          refuted: drops.some(({ mean }) => mean < 0),
        }),
        figures: oneByOne(drops),
      }
    },
  },
]

export const sentences: Answer['sentences'] = [
  ...CURVES.map((curve) => (figures: Figures) => {
    const at = (place: string): number => figures.setting({ curve, workers: 32, part: `linear: ${place} tenth` }).mean
    return `In the mean over layers, ${curve} among 32 workers has an orthogonality of ${numberText(at('first'))} in the first tenth of training and of ${numberText(at('last'))} in the last; it would be 1 of noise, and ${numberText(1 / 32)} of equal inputs.` // prettier-ignore
  }),
  (figures) => {
    const [deltas, gradients] = dropsOf(figures) as [Summary, Summary]
    return `At the first drop of the rate it changes by ${differenceText(deltas, 'orthogonality')} for deltas and by ${differenceText(gradients, 'orthogonality')} for gradients.` // prettier-ignore
  },
  (figures) => {
    const ratios = [GRADIENTS, DELTAS].map((curve) => ratiosOf(figures, curve))
    const [gradients, deltas] = ratios.map((all) => `${all.filter(isNear).length} of ${all.length}`)
    return `A step has the length that the formula gives, within 20 %, for ${gradients} arrays of weights with gradients, and for ${deltas} with deltas.` // prettier-ignore
  },
]
