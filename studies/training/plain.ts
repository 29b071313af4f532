/**
 * A model without a framework: one hidden layer of 16 units on points of 20 numbers in four classes. It trains in moments
 * and in the same bits everywhere, which is what tests of the engine need, and says nothing about Adasum.
 */
import { HELD_OUT, type Model, offsetsOf } from './model.ts'
import { normalNumbers } from './random.ts'

const INPUTS = 20
const HIDDEN = 16
const CLASSES = 4
const TEST_COUNT = 1000
const SEGMENTS = [
  { name: 'hidden', shape: [INPUTS, HIDDEN] },
  { name: 'output', shape: [HIDDEN, CLASSES] },
]
/** How far points lie from the middle of their class, which has coordinates of about 1. */
const SPREAD = 2
const POOL = 20_000

let made: Float64Array[] | undefined

/** The points of all splits, one behind the other; their classes follow one another in turn. */
function pointsOnce(): readonly Float64Array[] {
  if (made) return made
  const next = normalNumbers(20)
  const centres = Array.from({ length: CLASSES }, () => Float64Array.from({ length: INPUTS }, next))
  return (made = Array.from({ length: POOL + HELD_OUT + TEST_COUNT }, (_, index) =>
    Float64Array.from({ length: INPUTS }, (__, i) => centres[index % CLASSES]![i]! + SPREAD * next()),
  ))
}

export function makePlain(): Model {
  const points = pointsOnce()
  const offsets = offsetsOf(SEGMENTS)
  const elementCount = offsets.at(-1)!
  let weights = new Float32Array(elementCount)
  const pass = (index: number, gradient?: Float64Array): Outcome =>
    passPoint(points[index]!, index % CLASSES, weights, gradient)
  return {
    segments: SEGMENTS,
    elementCount,
    chance: 1 / CLASSES,
    async initial(seed) {
      const drawn = normalNumbers(seed)
      return Float32Array.from({ length: elementCount }, () => drawn() / 4)
    },
    load: (given) => void (weights = given.slice()),
    async gradient(indices, target) {
      const sum = new Float64Array(elementCount)
      let loss = 0
      for (const index of indices) loss += pass(index, sum).loss
      target.set(sum.map((value) => value / indices.length))
      return loss / indices.length
    },
    async evaluate(split, count) {
      const begin = split === 'validation' ? POOL : POOL + HELD_OUT
      const outcomes = Array.from({ length: count }, (_, index) => pass(begin + index))
      const mean = (value: (outcome: Outcome) => number): number =>
        outcomes.reduce((sum, outcome) => sum + value(outcome), 0) / count
      return { accuracy: mean(({ isRight }) => Number(isRight)), loss: mean(({ loss }) => loss) }
    },
  }
}

interface Outcome {
  readonly loss: number
  readonly isRight: boolean
}

/** Forward, and with a gradient to add to also backward. */
function passPoint(point: Float64Array, label: number, weights: Float32Array, gradient?: Float64Array): Outcome {
  const begin = INPUTS * HIDDEN
  const hidden = Float64Array.from({ length: HIDDEN }, (_, j) =>
    Math.tanh(point.reduce((sum, value, i) => sum + value * weights[i * HIDDEN + j]!, 0)),
  )
  const logits = Float64Array.from({ length: CLASSES }, (_, c) =>
    hidden.reduce((sum, value, j) => sum + value * weights[begin + j * CLASSES + c]!, 0),
  )
  const largest = Math.max(...logits)
  const powers = logits.map((logit) => Math.exp(logit - largest))
  const total = powers.reduce((sum, power) => sum + power, 0)
  const errors = powers.map((power, c) => power / total - Number(c === label))
  if (gradient)
    hidden.forEach((value, j) => {
      let back = 0
      errors.forEach((error, c) => {
        gradient[begin + j * CLASSES + c]! += value * error
        back += error * weights[begin + j * CLASSES + c]!
      })
      back *= 1 - value * value
      point.forEach((input, i) => (gradient[i * HIDDEN + j]! += input * back))
    })
  return { loss: largest + Math.log(total) - logits[label]!, isRight: logits.indexOf(largest) === label }
}
