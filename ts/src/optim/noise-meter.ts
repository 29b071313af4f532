/**
 * The noise of gradients over time. One step says little: variance and squared mean are averaged over steps first, each
 * by itself, and divided then, as both papers do (gradient-noise.ts); a mean of ratios would be biased.
 */
import { AdasumError, inspect, reading } from '../errors.ts'
import { numberFrom, readOptions, wholeNumber } from '../tensor/check.ts'
import type { GramMatrix, OptionNames } from '../types.ts'
import { type GradientNoise, adascaleGain, adasumFactor, gradientNoise, noiseScale } from './gradient-noise.ts'
import { sumOfGrams } from './gram.ts'

/** Options of a `NoiseMeter`. */
export interface NoiseMeterOptions {
  /** How much of its running means a step keeps, from 0 to less than 1. Default 0.99: they are over some 100 steps. */
  readonly decay?: number
}

/** What a `NoiseMeter` reads of a segment. */
export interface ObservedSegment {
  /** The segment's name. */
  readonly name: string
  /** The Gram matrix of the ranks' gradients there. */
  readonly gram?: GramMatrix
}

/** What a `NoiseMeter` reads of a reduction: that of an all-reduce, or what a trainer's `onReduction` is given. */
export interface ObservedReduction {
  /** The segments, the same ones in each call. */
  readonly segments: readonly ObservedSegment[]
  /** How many samples each rank's data stands for. */
  readonly weights?: ArrayLike<number>
  /** The same, as trainers call it. */
  readonly sampleCounts?: ArrayLike<number>
}

/** What was learnt of noise so far, and what follows from it. */
export interface NoiseEstimate {
  /** Steps that it was learnt from. */
  readonly stepCount: number
  /** The running mean of the variance of one sample's gradient (without sample counts: of one rank's). */
  readonly variance: number
  /** The running mean of the squared norm of the mean gradient. It may be below zero. */
  readonly squaredMean: number
  /** Their ratio, in samples (without sample counts: in batches of one rank). Infinity where no mean gradient shows. */
  readonly noiseScale: number
  /** Ranks that `gain` and `adasumFactor` are for. */
  readonly rankCount: number
  /** Samples of one rank in the last step, on average; 1 without sample counts. */
  readonly localBatch: number
  /**
   * The number of ranks, of that local batch, at which the batch of all is the noise scale: up to about there each rank more
   * saves steps, and far beyond it none. At least 1, not a whole number; Infinity where no mean gradient shows.
   */
  readonly usefulRankCount: number
  /** By how much AdaScale would raise the rate of an average: from 1 to `rankCount`. */
  readonly gain: number
  /** How long an Adasum step is, in steps of the average: predicted, from 1 to `rankCount`. */
  readonly adasumFactor: number
}

/** The estimate of one segment. */
export interface SegmentNoiseEstimate extends NoiseEstimate {
  /** The segment's name. */
  readonly name: string
}

/** Options of an estimate. */
export interface EstimateOptions {
  /** The number of ranks to estimate for. Default: those that took part in the last step. */
  readonly rankCount?: number
}

const METER_OPTIONS: OptionNames<NoiseMeterOptions> = { decay: true }
const ESTIMATE_OPTIONS: OptionNames<EstimateOptions> = { rankCount: true }

/**
 * Takes reductions with Gram matrices (`gram: true`) and says how noisy gradients are, how many ranks are of use, and how
 * long Adasum's steps are. Ranks that observe the same reductions get the same bits, so a rate may be set by it.
 *
 * The noise is that of the vectors that are combined. With a trainer in mode `delta` these are changes of weights, which
 * an optimizer has smoothed: then only `adasumFactor` means what it says.
 */
export class NoiseMeter {
  readonly #decay: number
  readonly #total: RunningNoise
  #segments: { readonly name: string; readonly noise: RunningNoise }[] | undefined
  #isCounted: boolean | undefined

  /** @throws AdasumError ERR_ARGUMENT for an unknown option, or a decay out of range */
  constructor(options: NoiseMeterOptions = {}) {
    const { decay } = readOptions(options, METER_OPTIONS)
    this.#decay = decay === undefined ? 0.99 : numberFrom(decay, 'decay', { least: 0, below: 1 })
    this.#total = new RunningNoise(this.#decay)
  }

  /**
   * Takes the reduction of a step. It costs n^2 operations a segment.
   *
   * @returns false if there is nothing to learn: no Gram matrices (they were not asked for, or there are more than 16
   *   ranks, rvh or a hierarchy), fewer than two ranks that took part, or numbers beyond 1e300
   * @throws AdasumError ERR_ARGUMENT for other segments than before, for sample counts in some calls and not in others, and for
   *   what is no reduction
   */
  observe(reduction: ObservedReduction): boolean {
    const { segments, weights } = readReduction(reduction)
    const grams = segments.map(({ gram }) => gram).filter((gram) => gram !== undefined)
    if (grams.length === 0 || grams.length < segments.length) return false
    this.#checkAlike(segments, weights)
    const whole = gradientNoise(sumOfGrams(grams), weights)
    const isAdded = whole !== undefined && this.#total.add(whole)
    if (!isAdded) return false
    this.#isCounted = weights !== undefined
    this.#segments ??= segments.map(({ name }) => ({ name, noise: new RunningNoise(this.#decay) }))
    this.#segments.forEach(({ noise }, i) => {
      const found = gradientNoise(grams[i]!, weights)
      if (found) noise.add(found)
    })
    return true
  }

  /**
   * What was learnt of all segments together; undefined before the first step.
   *
   * @throws AdasumError ERR_ARGUMENT
   */
  estimate(options: EstimateOptions = {}): NoiseEstimate | undefined {
    return this.#total.estimate(checkRankCount(options))
  }

  /**
   * The same for each segment, in their order: Adasum treats each by itself. Those of which nothing was learnt are left out.
   *
   * @throws AdasumError ERR_ARGUMENT
   */
  segments(options: EstimateOptions = {}): SegmentNoiseEstimate[] {
    const rankCount = checkRankCount(options)
    return (this.#segments ?? []).flatMap(({ name, noise }) => {
      const estimate = noise.estimate(rankCount)
      return estimate ? [{ name, ...estimate }] : []
    })
  }

  #checkAlike(segments: ObservedReduction['segments'], weights: unknown): void {
    const known = this.#segments
    if (!known) return
    const isCounted = weights !== undefined
    if (this.#isCounted !== isCounted)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `the reduction is with${isCounted ? '' : 'out'} sample counts, and the first one was with${isCounted ? 'out' : ''}. ` +
          'Use a NoiseMeter for each kind.',
      )
    const [names, before] = [segments, known].map((list) => list.map(({ name }) => name))
    const at = before!.findIndex((name, i) => name !== names![i])
    if (names!.length === before!.length && at < 0) return
    const wordsOf = (list: readonly string[]): string =>
      `${list.length} segments${at < 0 ? '' : `, with ${inspect(list[at])} at place ${at}`}`
    throw new AdasumError(
      'ERR_ARGUMENT',
      `the reduction has ${wordsOf(names!)}; the first one had ${wordsOf(before!)}. Use a NoiseMeter for each model.`,
    )
  }
}

function checkRankCount(options: EstimateOptions): number | undefined {
  const { rankCount } = readOptions(options, ESTIMATE_OPTIONS)
  return rankCount === undefined ? undefined : wholeNumber(rankCount, 'rankCount', { least: 1 })
}

function readReduction(given: ObservedReduction): Pick<ObservedReduction, 'segments' | 'weights'> {
  return reading('the reduction', () => {
    const weights = given.weights ?? given.sampleCounts
    const segments = Array.from(given.segments, ({ name, gram }) => ({ name, ...(gram !== undefined && { gram }) }))
    return { segments, ...(weights !== undefined && { weights }) }
  })
}

/** Running means with the bias of their start taken out: the weights of all steps so far add up to 1. */
class RunningNoise {
  readonly #decay: number
  #stepCount = 0
  #variance = 0
  #squaredMean = 0
  /** decay^steps, the weight that no step has. */
  #missing = 1
  #last: GradientNoise | undefined

  constructor(decay: number) {
    this.#decay = decay
  }

  /** Whether the noise is finite, so that it was added. */
  add(noise: GradientNoise): boolean {
    const { variance, squaredMean } = noise
    if (!Number.isFinite(variance) || !Number.isFinite(squaredMean)) return false
    const part = 1 - this.#decay
    this.#variance = this.#decay * this.#variance + part * variance
    this.#squaredMean = this.#decay * this.#squaredMean + part * squaredMean
    this.#missing *= this.#decay
    this.#stepCount++
    this.#last = noise
    return true
  }

  estimate(wanted: number | undefined): NoiseEstimate | undefined {
    if (!this.#last) return undefined
    const known = 1 - this.#missing
    const [variance, squaredMean] = [this.#variance / known, this.#squaredMean / known]
    const scale = noiseScale({ variance, squaredMean })
    const { inputCount, localBatch } = this.#last
    const [rankCount, inBatches] = [wanted ?? inputCount, scale / localBatch]
    return {
      ...{ stepCount: this.#stepCount, variance, squaredMean, noiseScale: scale, rankCount, localBatch },
      usefulRankCount: Math.max(1, inBatches),
      gain: adascaleGain(inBatches, rankCount),
      adasumFactor: adasumFactor(inBatches, rankCount),
    }
  }
}
