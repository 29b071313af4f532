/** What an outcome says, found by what was set, and its numbers as text. */
import { type Summary, minus, summarize } from '../engine/statistics.ts'
import { type Finding, type Setting, curveOf } from '../engine/study.ts'
import type { Replay } from './replay.ts'
import type { Run } from './results.ts'

export { curveOf, minus }

/** Something that is asked for has not been run, or not with all seeds. */
export class Unfinished extends Error {}

/** What names a setting; a field that is left out may be anything. */
export interface Wanted {
  readonly part?: string
  readonly model?: string
  readonly optimizer?: string
  /** As `curveOf` has it. */
  readonly curve?: string
  readonly workers?: number
}

export const AVERAGE = 'average of gradients'
export const AVERAGE_OF_DELTAS = 'average of deltas'
export const SUM = 'sum of gradients'
export const DELTAS = 'adasum of deltas'
export const GRADIENTS = 'adasum of gradients'
export const DAMPED = 'damped of deltas'
export const ADASCALE = 'adascale of deltas'
export const ADACONS = 'adacons of gradients'
export const GAF = 'gaf of gradients'

export const BEST = 'best rate'
export const AT_ONE = "one worker's rate"

export const isComplete = ({ missing }: Setting): boolean => missing === undefined

export class Figures {
  readonly #replay: Pick<Replay, 'settings' | 'findings' | 'runs'>

  constructor(replay: Pick<Replay, 'settings' | 'findings' | 'runs'>) {
    this.#replay = replay
  }

  get runs(): readonly Run[] {
    return this.#replay.runs
  }

  /** All that match, with whatever is missing of them. */
  settings({ part, model, optimizer, curve, workers }: Wanted): Setting[] {
    return this.#replay.settings.filter(
      (each) =>
        (part === undefined || each.part === part) &&
        (model === undefined || each.model === model) &&
        (optimizer === undefined || each.optimizer === optimizer) &&
        (curve === undefined || curveOf(each) === curve) &&
        (workers === undefined || each.workers === workers),
    )
  }

  /**
   * The first that matches.
   *
   * @throws Unfinished if there is none, or not all of its runs are there
   */
  setting(wanted: Wanted): Setting {
    const [found] = this.settings(wanted)
    if (found === undefined || !isComplete(found)) throw new Unfinished(Object.values(wanted).join(', '))
    return found
  }

  /**
   * All that match.
   *
   * @throws Unfinished if there is none, or not all of their runs are there
   */
  all(wanted: Wanted): Setting[] {
    const found = this.settings(wanted)
    if (found.length === 0 || !found.every(isComplete)) throw new Unfinished(Object.values(wanted).join(', '))
    return found
  }

  /**
   * A finding that is a number.
   *
   * @throws Unfinished if there is none, or what it follows from is not there
   */
  finding(name: string): Summary {
    const found = this.findingIfKnown(name)
    if (found === undefined) throw new Unfinished(name)
    return found
  }

  findingIfKnown(name: string): Summary | undefined {
    const found = this.#replay.findings.find((each) => each.name === name)
    if (typeof found?.mean !== 'number' || Number.isNaN(found.mean)) return undefined
    return { mean: found.mean, interval: found.interval ?? null }
  }

  /** The names of findings, in their order. */
  findingNames(isWanted: (name: string) => boolean): string[] {
    return this.#replay.findings.map(({ name }: Finding) => name).filter(isWanted)
  }
}

/** By seed: how much worse the second is than the first, by what both measure. */
export function worseBy(first: Setting, second: Setting): number[] {
  const sign = first.measure === 'loss' ? -1 : 1
  return minus(first.values, second.values).map((value) => sign * value)
}

const withMinus = (text: string): string => text.replace('-', '−')

/** A number with so many digits that count, without an exponent, and with a real minus. */
export function numberText(value: number, digits: number = 3): string {
  if (Number.isNaN(value)) return 'unknown'
  if (!Number.isFinite(value)) return value > 0 ? 'infinite' : '−infinite'
  const rounded = Number(value.toPrecision(digits))
  const places = rounded === 0 ? 0 : Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(rounded))))
  return withMinus(
    rounded
      .toFixed(Math.min(places, 20))
      .replace(/(\.\d*?)0+$/, '$1')
      .replace(/\.$/, ''),
  )
}

const fixedText = (value: number, places: number): string => {
  if (Number.isNaN(value)) return 'unknown'
  const text = value.toFixed(places)
  return Number(text) === 0 ? text.replace('-', '') : withMinus(text)
}

/** A share as a percentage, or a loss or distance as it is. */
export function valueText(value: number, measure: string): string {
  return isShare(measure) && !Number.isNaN(value) ? `${fixedText(100 * value, 2)} %` : fixedText(value, 3)
}

/** With the 95 % interval behind it, if there is one. */
export function meanText({ mean, interval }: Summary, measure: string): string {
  if (interval === null || Number.isNaN(mean)) return valueText(mean, measure)
  const [low, high] = interval.map((end) => (isShare(measure) ? fixedText(100 * end, 2) : fixedText(end, 3)))
  return `${valueText(mean, measure)} (${low} to ${high})`
}

/** A difference: of shares in points. */
export function differenceText(values: readonly number[] | Summary, measure: string = 'accuracy'): string {
  const { mean, interval } = 'mean' in values ? values : summarize(values)
  const number = (value: number): string => (isShare(measure) ? fixedText(100 * value, 2) : fixedText(value, 3))
  const unit = isShare(measure) ? ' points' : ''
  return `${number(mean)}${unit}${interval ? ` (${number(interval[0])} to ${number(interval[1])})` : ''}`
}

const isShare = (measure: string): boolean => measure.startsWith('accuracy')

/** A rate as a multiple of another one; both are the same base times powers of two. */
export function timesText(rate: number, base: number): string {
  const ratio = rate / base
  if (Number.isNaN(ratio)) return 'unknown'
  return ratio >= 1 ? `${numberText(ratio)}×` : `1/${numberText(1 / ratio)}×`
}

/** The rate of a setting as a multiple of one worker's, with a remark if it is not sure to be the best. */
export function rateText({ rate, bestInsideGrid }: Setting, one: Setting): string {
  return `${timesText(rate, one.rate)}${bestInsideGrid === false ? ' (at the edge of its grid)' : ''}`
}
