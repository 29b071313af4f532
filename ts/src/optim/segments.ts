/** The segments of an optimizer's weights, and the groups into which hyperparameters put them. */
import { AdasumError, inspect, reading } from '../errors.ts'
import { checkOptions, kindOf, numberFrom, wholeNumber } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import { elementCountOf } from './weight-layout.ts'

/** One array of a model's weights. */
export interface OptimizerSegment {
  /** The name of its state in what `state()` returns; no two segments have the same. */
  readonly name: string
  /** The size of each dimension. */
  readonly shape: readonly number[]
}

/** Hyperparameters of some segments. A segment belongs to the first group that matches, or to none. */
export interface ParameterGroup {
  /** Whether a segment is in the group. */
  readonly matches: (segment: OptimizerSegment) => boolean
  /** In place of the optimizer's. */
  readonly weightDecay?: number
  /** The learning rate is multiplied by it. Default 1. */
  readonly learningRateFactor?: number
}

/** What the segments of a group have in common. */
export interface GroupHyperparameters {
  /** Undefined where the optimizer's own counts. */
  readonly weightDecay: number | undefined
  readonly learningRateFactor: number
}

export interface SegmentPlan {
  readonly segments: readonly OptimizerSegment[]
  /** The first element of each segment, and at the end the element count. */
  readonly begins: Float64Array
  readonly groups: readonly GroupHyperparameters[]
  /** The index of each segment's group. */
  readonly groupOf: readonly number[]
}

const GROUP_OPTIONS: OptionNames<ParameterGroup> = { matches: true, weightDecay: true, learningRateFactor: true }

/** @throws AdasumError ERR_ARGUMENT */
export function planSegments(given: unknown, groups: unknown): SegmentPlan {
  const segments = reading('segments', () => listOf(given, 'segments').map(readSegment))
  const names = new Set(segments.map(({ name }) => name))
  const twice = segments.find(({ name }) => !names.delete(name))
  if (twice)
    throw new AdasumError('ERR_ARGUMENT', `two segments are named ${inspect(twice.name)}. Give each a name of its own.`)
  const begins = new Float64Array(segments.length + 1)
  segments.forEach(({ shape }, i) => (begins[i + 1] = begins[i]! + elementCountOf(shape)))
  const read = groups === undefined ? [] : reading('groups', () => listOf(groups, 'groups').map(readGroup))
  const groupOf = segments.map((segment) => 1 + read.findIndex(({ matches }) => matches(segment) === true))
  const own = read.map(({ weightDecay, learningRateFactor = 1 }) => ({ weightDecay, learningRateFactor }))
  return { segments, begins, groups: [{ weightDecay: undefined, learningRateFactor: 1 }, ...own], groupOf }
}

function listOf(value: unknown, what: string): unknown[] {
  if (Array.isArray(value)) return [...(value as unknown[])]
  throw new AdasumError('ERR_ARGUMENT', `${what} must be an array; got ${kindOf(value)}.`)
}

function readSegment(given: unknown, index: number): OptimizerSegment {
  const what = `segments[${index}]`
  if (typeof given !== 'object' || given === null)
    throw new AdasumError('ERR_ARGUMENT', `${what} must be an object with name and shape; got ${kindOf(given)}.`)
  const { name, shape } = given as OptimizerSegment
  if (typeof name !== 'string')
    throw new AdasumError('ERR_ARGUMENT', `${what}.name must be a text; got ${kindOf(name)}.`)
  const lengths = listOf(shape, `${what}.shape`).map((length) => wholeNumber(length, `a length of ${what}.shape`))
  return { name, shape: lengths }
}

function readGroup(given: unknown, index: number): ParameterGroup {
  const what = `groups[${index}]`
  checkOptions(given as ParameterGroup, GROUP_OPTIONS)
  const { matches, weightDecay, learningRateFactor } = given as ParameterGroup
  if (typeof matches !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `${what}.matches must be a function of a segment; got ${kindOf(matches)}.`)
  if (weightDecay !== undefined) numberFrom(weightDecay, `${what}.weightDecay`, { least: 0 })
  if (learningRateFactor !== undefined) numberFrom(learningRateFactor, `${what}.learningRateFactor`, { least: 0 })
  return { matches, weightDecay, learningRateFactor } as ParameterGroup
}
