/** Verdicts on the predictions for emulation, orthogonality, elastic, operators and precision: each is seen as held, as refuted and as open. */
import { MadeUp } from './_made-up.ts'
import { cases, near, unchanged, wide } from './_cases.ts'

const AVERAGE = 'average of gradients'
const [DELTAS, GRADIENTS] = ['adasum of deltas', 'adasum of gradients']
const ADASCALE = 'adascale of deltas'
const [BEST, AT_ONE] = ['best rate', "one worker's rate"]

// emulation

const OPS = ['sum', 'average', 'adasum', 'damped', 'adascale'].map((op) => `${op} of gradients`)
function emulation(): MadeUp {
  const outcome = new MadeUp()
  for (const factor of [0.25, 1, 4])
    for (const [index, workers] of [2, 4, 8, 16, 32, 64].entries())
      for (const curve of OPS) {
        const base = { 'sum of gradients': factor === 0.25 ? 0.1 : 0.5, 'average of gradients': 0.6 }[curve] ?? 0.3
        const parts = ['first tenth', 'all of training'].map((period) => `${factor} times one worker's rate, ${period}`)
        outcome.settings({ parts, curves: [curve], workers: [workers], optimizer: 'sgd', measure: 'distance', values: near(base + index / 100) }) // prettier-ignore
      }
  return outcome
}
const farther = (o: MadeUp, factor: number, period: string, op: string, workers: number, value: number): MadeUp =>
  o.change({ part: `${factor} times one worker's rate, ${period}`, curve: `${op} of gradients`, workers }, { values: near(value) }) // prettier-ignore

cases('emulation', 1, emulation, [
  ['held', 'the sum is nearest, then Adasum', unchanged],
  ['refuted', 'the average is nearer than Adasum at 64', (o) => farther(o, 0.25, 'all of training', 'adasum', 64, 0.9)],
  ['open', 'Adasum is nearer than the sum', (o) => farther(o, 0.25, 'all of training', 'sum', 4, 0.4)],
])

cases('emulation', 2, emulation, [
  ['held', 'Adasum is nearest', unchanged],
  ['held', 'Adasum is not nearest at 4', (o) => farther(o, 1, 'first tenth', 'adasum', 4, 0.9)],
  ['refuted', 'the sum is nearer at 16', (o) => farther(o, 1, 'first tenth', 'sum', 16, 0.1)],
  ['refuted', 'the average is nearer at 8', (o) => farther(o, 1, 'first tenth', 'average', 8, 0.1)],
  ['open', 'one is missing', (o) => o.change({ curve: 'sum of gradients', workers: 16 }, { missing: 1 })],
])

cases('emulation', 3, emulation, [
  ['held', 'all grow', unchanged],
  ['refuted', 'Adasum’s falls', (o) => farther(o, 4, 'all of training', 'adasum', 64, 0.01)],
  ['open', 'the sum’s falls', (o) => farther(o, 1, 'all of training', 'sum', 64, 0.01)],
])

// orthogonality

const PLACES = [DELTAS, GRADIENTS].flatMap((curve) => ['linear', 'drops'].map((decay) => `${curve}, 32 workers, ${decay}`)) // prettier-ignore
const [OF_DELTAS, OF_GRADIENTS] = [DELTAS, GRADIENTS].map((curve) => `${curve}, 32 workers`) as [string, string]
const rises = (values: readonly number[]): MadeUp =>
  PLACES.reduce((o, place, index) => o.finding(`${place}: rise of orthogonality to the last tenth`, near(values[index]!)), new MadeUp()) // prettier-ignore

cases('orthogonality', 1, () => rises([0.1, 0.1, 0.1, 0.1]), [
  ['held', 'all rise', unchanged],
  ['refuted', 'one falls', () => rises([0.1, 0.1, 0.1, -0.1])],
  ['open', 'one is not known', () => rises([0.1, 0.1, 0.1, NaN])],
])

const bothAre = (finding: string, deltas: number, gradients: number): MadeUp =>
  new MadeUp().finding(`${OF_DELTAS}, ${finding}`, near(deltas)).finding(`${OF_GRADIENTS}, ${finding}`, near(gradients))

const sharesAre = (deltas: number, gradients: number): MadeUp =>
  bothAre('linear: share of steps in which layers differ', deltas, gradients)

cases('orthogonality', 2, () => sharesAre(0.9, 0.6), [
  ['held', 'both differ in most steps', unchanged],
  ['refuted', 'one differs in less than half of them', () => sharesAre(0.9, 0.4)],
  ['open', 'one differs in half of them', () => sharesAre(0.9, 0.5)],
])

const ratiosAre = (ratios: readonly number[]): MadeUp =>
  ratios.reduce((o, ratio, layer) => o.finding(`${OF_GRADIENTS}, linear, array ${layer}: step that was measured over that of the formula`, near(ratio)), new MadeUp()) // prettier-ignore

cases('orthogonality', 3, () => ratiosAre([0.81, 1, 1.19]), [
  ['held', 'all are within 20 %', unchanged],
  ['refuted', 'two of three are not', () => ratiosAre([0.7, 1, 1.3])],
  ['open', 'one of three is not', () => ratiosAre([0.7, 1, 1.1])],
  ['open', 'half of them are not', () => ratiosAre([0.7, 1])],
])

const dropsAre = (deltas: number, gradients: number): MadeUp =>
  bothAre('drops: rise of orthogonality at the first drop', deltas, gradients)

cases('orthogonality', 4, () => dropsAre(0.1, 0.1), [
  ['held', 'both rise', unchanged],
  ['refuted', 'one falls', () => dropsAre(0.1, -0.1)],
  ['open', 'one is not known', () => dropsAre(0.1, NaN)],
])

// elastic

const SUM = 'sum of gradients'
const OWN = 'best rate of the first number'
const CHANGING = { keepsLosses: true, workers: [8, 4, 12], localBatch: 32, samples: 110_000 }

function elastic({ sum = 0.3, adasum = 0.1, ends = [1, 0.9], deviation = -0.1 } = {}): MadeUp {
  const curves = [SUM, AVERAGE, DELTAS, GRADIENTS]
  const outcome = new MadeUp().settings({ parts: [OWN, AT_ONE], curves, workers: [[8, 4, 12]], values: near(0.8) })
  const jumps = new Map([[SUM, sum], [AVERAGE, 0], [DELTAS, adasum], [GRADIENTS, 0.2]]) // prettier-ignore
  for (const [curve, jump] of jumps) {
    outcome.finding(`${curve}: rise of the loss at 4 to 12 workers`, near(jump))
    const [op, of] = curve.split(' of ') as ['sum', 'deltas']
    const losses = near(curve === AVERAGE ? ends[0]! : ends[1]!)
    outcome.runs({ ...CHANGING, op, of, rate: 0.01 }, losses.map((loss) => ({ loss, accuracy: 0.8, diverged: false }))) // prettier-ignore
  }
  return outcome.finding(`${AVERAGE}: rise of the loss at 4 to 12 workers less the deviation of the steps before`, near(deviation)) // prettier-ignore
}

/** The sum at a rate of its own, where it diverges after so many steps: the change comes at 429. */
const divergesAfter = (steps: number, sum: number = NaN): MadeUp =>
  elastic({ sum, adasum: 1 })
    .change({ part: OWN, curve: SUM }, { rate: 0.02, diverged: 1 })
    .runs({ ...CHANGING, op: 'sum', of: 'gradients', rate: 0.02 }, [{ diverged: true, losses: Array<number>(steps).fill(1) }]) // prettier-ignore

cases('elastic', 1, elastic, [
  ['held', 'the sum rises more', unchanged],
  ['held', 'the sum diverges behind the change', () => divergesAfter(440)],
  ['open', 'the sum diverges before the change', () => divergesAfter(400)],
  ['refuted', 'the sum diverges at last, and Adasum’s rise is larger', () => divergesAfter(520, 0.5)],
  ['refuted', 'Adasum rises more', () => elastic({ adasum: 0.4 })],
  ['open', 'both rise by the same', () => elastic({ adasum: 0.3 })],
])

cases('elastic', 2, elastic, [
  ['held', 'Adasum ends lower', unchanged],
  ['refuted', 'Adasum ends higher', () => elastic({ ends: [1, 1.1] })],
  ['open', 'both end at the same', () => elastic({ ends: [1, 1] })],
])

cases('elastic', 3, elastic, [
  ['held', 'the rise is below the deviation', unchanged],
  ['refuted', 'it is above', () => elastic({ deviation: 0.1 })],
  ['open', 'it is not known', () => elastic({ deviation: NaN })],
])

// operators

const [NOISE, OPPOSITE] = ['one worker sends noise', 'one worker sends the opposite']
const [ADACONS, GAF] = ['adacons of gradients', 'gaf of gradients']
function operators(): MadeUp {
  const parts = [BEST, AT_ONE, NOISE, OPPOSITE]
  const curves = [AVERAGE, DELTAS, GRADIENTS, ADASCALE, ADACONS, GAF]
  return new MadeUp().settings({ parts, curves, workers: [32], values: near(0.9) }).settings({
    parts,
    curves,
    workers: [32],
    model: 'characters',
    optimizer: 'lamb',
    measure: 'loss',
    values: near(2),
  })
}
const harmed = (o: MadeUp, part: string, curve: string, value: number, model = 'lenet'): MadeUp =>
  o.change({ model, part, curve }, { values: near(value) })

cases('operators', 1, operators, [
  ['held', 'Adasum loses more', (o) => harmed(o, NOISE, DELTAS, 0.8)],
  ['refuted', 'the average loses more', (o) => harmed(o, NOISE, AVERAGE, 0.8)],
  ['open', 'both lose the same', unchanged],
])

cases('operators', 2, operators, [
  ['held', 'the noise costs more', (o) => harmed(o, NOISE, DELTAS, 0.8)],
  ['refuted', 'the wrong sign costs more', (o) => harmed(o, OPPOSITE, DELTAS, 0.8)],
  ['open', 'both cost the same', unchanged],
])

cases('operators', 3, operators, [
  ['held', 'nothing is lost', unchanged],
  ['refuted', 'noise costs a point', (o) => harmed(o, NOISE, GAF, 0.89)],
  ['refuted', 'the wrong sign costs a point', (o) => harmed(o, OPPOSITE, GAF, 0.89)],
  ['open', 'one is missing', (o) => o.change({ part: NOISE, curve: GAF }, { missing: 1 })],
])

const bestRates = (o: MadeUp, average: number, adacons: number): MadeUp =>
  o
    .change({ model: 'lenet', part: BEST, curve: AVERAGE }, { rate: average })
    .change({ model: 'lenet', part: BEST, curve: ADACONS }, { rate: adacons })

cases('operators', 4, operators, [
  ['held', 'its rate is the average’s', (o) => bestRates(o, 0.16, 0.16)],
  ['held', 'its rate is half the average’s, and twice one worker’s', (o) => bestRates(o, 0.04, 0.02)],
  ['refuted', 'its rate is one worker’s', (o) => bestRates(o, 0.16, 0.01)],
  ['open', 'its rate is between', (o) => bestRates(o, 0.16, 0.04)],
])

cases('operators', 5, operators, [
  ['held', 'Adasum’s loss rises more', (o) => harmed(o, NOISE, DELTAS, 2.2, 'characters')],
  ['refuted', 'the average’s loss rises more', (o) => harmed(o, NOISE, AVERAGE, 2.2, 'characters')],
  ['open', 'both stay the same', unchanged],
])

cases('operators', 6, operators, [
  ['held', 'the losses are the same', unchanged],
  ['refuted', 'GAF’s is lower by 0.1', (o) => harmed(o, BEST, GAF, 1.9, 'characters')],
  ['refuted', 'AdaCons’ is higher by 0.1', (o) => harmed(o, BEST, ADACONS, 2.1, 'characters')],
  ['open', 'the interval is wide', (o) => o.change({ model: 'characters', part: BEST, curve: GAF }, { values: wide(2.05) })], // prettier-ignore
])

// precision

const precision = (): MadeUp =>
  new MadeUp().settings({ parts: ['f32', 'bf16', 'int8'], curves: [AVERAGE, DELTAS, GRADIENTS], workers: [8], values: near(0.9) }) // prettier-ignore
const formatted = (o: MadeUp, part: string, curve: string, values: number[]): MadeUp =>
  o.change({ part, curve }, { values })

cases('precision', 1, precision, [
  ['held', 'nothing is lost', unchanged],
  ['refuted', 'one costs a point', (o) => formatted(o, 'int8', GRADIENTS, near(0.89))],
  ['open', 'one costs a point, with a wide interval', (o) => formatted(o, 'bf16', AVERAGE, wide(0.89))],
])

cases('precision', 2, precision, [
  ['held', 'both lose the same', unchanged],
  ['held', 'Adasum loses more, within the interval', (o) => formatted(o, 'int8', DELTAS, wide(0.89))],
  ['refuted', 'Adasum loses a point more', (o) => formatted(o, 'int8', DELTAS, near(0.89))],
  ['open', 'there is one seed', () => new MadeUp().settings({ parts: ['f32', 'bf16', 'int8'], curves: [AVERAGE, DELTAS, GRADIENTS], workers: [8], values: [0.9] })], // prettier-ignore
])
