/** Hyperparameters from the options that have them, with their defaults: for all optimizers, those of adapters too. */
import { AdasumError, inspect } from '../errors.ts'
import { checkFlag, numberFrom, oneOf, wholeNumber } from '../tensor/check.ts'
import type { AdamHyperparameters, LambHyperparameters, MuonHyperparameters, MuonPreset } from './rules.ts'
import type { Schedule } from './schedules.ts'

/** Whose LAMB it is; docs/optimizers.md has a table of the differences. */
export type LambPreset = 'paper' | 'timm' | 'apex'

interface LambDefaults {
  readonly weightDecay: number
  readonly clipNorm: number | null
  readonly alwaysAdapt: boolean
}

/** Hyperparameters as they are given. */
type Given<Hyperparameters> = { readonly [Name in keyof Hyperparameters]?: Hyperparameters[Name] | undefined }

const APEX: LambDefaults = { weightDecay: 0.01, clipNorm: 1, alwaysAdapt: false }
const LAMB_PRESETS: Readonly<Record<LambPreset, LambDefaults>> = {
  paper: { weightDecay: 0, clipNorm: null, alwaysAdapt: true },
  timm: APEX,
  apex: APEX,
}

/** The default of AdamW's decay. */
export const ADAMW_WEIGHT_DECAY = 0.01

/**
 * The moments' part. LAMB's default of epsilon is another.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function readAdam(
  { beta1 = 0.9, beta2 = 0.999, epsilon }: Given<AdamHyperparameters>,
  defaultEpsilon = 1e-8,
): AdamHyperparameters {
  return {
    beta1: numberFrom(beta1, 'beta1', { least: 0, below: 1 }),
    beta2: numberFrom(beta2, 'beta2', { least: 0, below: 1 }),
    epsilon: numberFrom(epsilon ?? defaultEpsilon, 'epsilon', { least: 0 }),
  }
}

type LambRatio = Omit<LambHyperparameters, 'averagesGradients'>

/** @throws AdasumError ERR_ARGUMENT */
export function readLamb(options: Given<LambRatio> & { readonly preset?: LambPreset | undefined }): LambRatio {
  const { alwaysAdapt = lambDefaults(options.preset).alwaysAdapt, maxRatio } = options
  return {
    ...readAdam(options, 1e-6),
    alwaysAdapt: checkFlag(alwaysAdapt, 'alwaysAdapt'),
    maxRatio: maxRatio === undefined ? Infinity : numberFrom(maxRatio, 'maxRatio', { least: 0 }),
  }
}

/**
 * What a preset sets; `paper` if there is none.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function lambDefaults(preset: LambPreset | undefined): LambDefaults {
  return LAMB_PRESETS[oneOf(preset ?? 'paper', Object.keys(LAMB_PRESETS) as LambPreset[], 'preset')]
}

interface MuonDefaults {
  readonly weightDecay: number
  readonly epsilon: number
  /** The decay of arrays that are no matrices, which AdamW steps. */
  readonly otherWeightDecay: number
}

const MUON_PRESETS: Readonly<Record<MuonPreset, MuonDefaults>> = {
  torch: { weightDecay: 0.1, epsilon: 1e-7, otherWeightDecay: ADAMW_WEIGHT_DECAY },
  optax: { weightDecay: 0, epsilon: 1e-8, otherWeightDecay: 0 },
}
/** They bring all singular values near 1 in five iterations (K. Jordan 2024). */
const MUON_COEFFICIENTS = [3.4445, -4.775, 2.0315]
/** As many as the kernel does. */
const MOST_ITERATIONS = 100

/** @throws AdasumError ERR_ARGUMENT */
export function readMuon(options: Given<MuonHyperparameters>, preset: MuonPreset): MuonHyperparameters {
  const { momentum = 0.95, nesterov = true, newtonSchulzSteps = 5, consistentRms = null } = options
  return {
    preset,
    momentum: numberFrom(momentum, 'momentum', { least: 0, below: 1 }),
    nesterov: checkFlag(nesterov, 'nesterov'),
    epsilon: numberFrom(options.epsilon ?? MUON_PRESETS[preset].epsilon, 'epsilon', { least: 0 }),
    coefficients: readCoefficients(options.coefficients ?? MUON_COEFFICIENTS),
    newtonSchulzSteps: wholeNumber(newtonSchulzSteps, 'newtonSchulzSteps', { most: MOST_ITERATIONS }),
    consistentRms: consistentRms === null ? null : numberFrom(consistentRms, 'consistentRms', { least: 0 }),
  }
}

function readCoefficients(given: unknown): readonly [number, number, number] {
  const numbers = Array.isArray(given) ? [...(given as unknown[])] : []
  if (numbers.length === 3 && numbers.every(Number.isFinite)) return numbers as [number, number, number]
  throw new AdasumError(
    'ERR_ARGUMENT',
    `coefficients is ${inspect(given)}; it must be an array of three finite numbers.`,
  )
}

/**
 * What a preset of Muon sets.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function muonDefaults(preset: unknown): MuonDefaults & { readonly preset: MuonPreset } {
  const known = oneOf(preset, Object.keys(MUON_PRESETS) as MuonPreset[], 'preset')
  return { preset: known, ...MUON_PRESETS[known] }
}

/**
 * A number becomes a schedule that always returns it.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function scheduleOf(learningRate: unknown): Schedule {
  if (typeof learningRate === 'function') return learningRate as Schedule
  const rate = numberFrom(learningRate, 'learningRate', { least: 0 })
  return () => rate
}

/**
 * The learning rate of the step after so many.
 *
 * @throws AdasumError ERR_ARGUMENT if the schedule returns no finite number
 */
export function rateAfter(stepCount: number, schedule: Schedule): number {
  const rate = schedule(stepCount)
  if (Number.isFinite(rate)) return rate
  throw new AdasumError(
    'ERR_ARGUMENT',
    `the learning rate of step ${stepCount + 1} is ${inspect(rate)}. Let the schedule return a finite number.`,
  )
}

/**
 * The limit of a norm or a value; Infinity for none.
 *
 * @throws AdasumError ERR_ARGUMENT
 */
export function limitFrom(limit: unknown, what: string): number {
  return limit === undefined || limit === null ? Infinity : numberFrom(limit, what, { least: 0 })
}
