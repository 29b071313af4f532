/**
 * Trajectories of optimizers that other implementations computed, from test/golden/optimizers; scripts/golden-optimizers.py
 * wrote them and says how gradients and first weights are made, which is repeated here.
 */
import { readFileSync, readdirSync } from 'node:fs'

const FOLDER = new URL('../golden/optimizers/', import.meta.url)

export type Floats = Float32Array | Float64Array

/** Hyperparameters; those that a rule does not have are absent. */
export interface GoldenOptions {
  readonly preset?: string
  readonly weightDecay: number
  readonly momentum?: number
  readonly dampening?: number
  readonly nesterov?: boolean
  readonly beta1?: number
  readonly beta2?: number
  readonly epsilon?: number
  /** Largest norm of all gradients of a step; null for none. */
  readonly clipNorm?: number | null
  /** Whether LAMB uses the ratio of norms where there is no weight decay. */
  readonly alwaysAdapt?: boolean
  readonly coefficients?: readonly [number, number, number]
  readonly newtonSchulzSteps?: number
  readonly consistentRms?: number | null
}

export interface GoldenSegment {
  readonly name: string
  readonly shape: readonly number[]
  /** The segment's own, in place of the options'. */
  readonly weightDecay?: number
}

/** A file as it is. */
export interface GoldenFile {
  readonly reference: string
  readonly rule: 'sgd' | 'adam' | 'adamw' | 'lamb' | 'muon'
  readonly options: GoldenOptions
  readonly dtype: 'f32' | 'f64'
  readonly gradientScale: number
  readonly initialScale: number
  readonly segments: readonly GoldenSegment[]
  readonly steps: number
  /** The weights are kept after steps stride, 2 stride, ... */
  readonly stride: number
  readonly gradientsFnv1a: string
  /** One for all steps, or f64 numbers in base64. */
  readonly learningRates: number | string
  readonly initial: string
  readonly weights: string
  readonly state?: Readonly<Record<string, string>>
}

/** A file with its arrays decoded. Steps count from 1. */
export interface GoldenCase extends Omit<GoldenFile, 'learningRates' | 'initial' | 'weights' | 'state'> {
  readonly name: string
  readonly elementCount: number
  readonly learningRates: Float64Array
  readonly initial: Floats
  /** Steps / stride rows of elementCount weights. */
  readonly weights: Floats
  /** For f32: steps rows of elementCount each, by the name of what the optimizer keeps: momentum, or m and v. */
  readonly state: Readonly<Record<string, Floats>>
}

/** The names of all cases, in order. */
export const GOLDEN_NAMES: readonly string[] = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.slice(0, -'.json'.length))
  .sort()

export const textOf = (name: string): string => readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')

function decode(base64: string, dtype: 'f32' | 'f64'): Floats {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'))
  return dtype === 'f32' ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer)
}

export const sizeOf = ({ shape }: GoldenSegment): number => shape.reduce((product, length) => product * length, 1)

export function goldenCase(name: string): GoldenCase {
  const file = JSON.parse(textOf(name)) as GoldenFile
  const { dtype, learningRates: rates, steps } = file
  return {
    ...file,
    name,
    elementCount: file.segments.reduce((sum, segment) => sum + sizeOf(segment), 0),
    learningRates:
      typeof rates === 'number' ? new Float64Array(steps).fill(rates) : Float64Array.from(decode(rates, 'f64')),
    initial: decode(file.initial, dtype),
    weights: decode(file.weights, dtype),
    state: Object.fromEntries(Object.entries(file.state ?? {}).map(([key, text]) => [key, decode(text, dtype)])),
  }
}

/** The weights after a step, which is a multiple of the stride. */
export function weightsAfter({ weights, stride, elementCount }: GoldenCase, step: number): Floats {
  const row = step / stride - 1
  return weights.subarray(row * elementCount, (row + 1) * elementCount)
}

/** What an f32 case's optimizer kept after a step; zeros before the first. */
export function stateAfter({ state, elementCount }: GoldenCase, key: string, step: number): Floats {
  if (step === 0) return new Float32Array(elementCount)
  return state[key]!.subarray((step - 1) * elementCount, step * elementCount)
}

/** murmur3's finalizer. */
function hash32(index: number): number {
  let h = (index + 0x9e3779b9) | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A number in [-1, 1), a multiple of 2^-23. */
const unit = (index: number): number => (hash32(index) >>> 8) / 2 ** 23 - 1

const rounded = (dtype: 'f32' | 'f64', numbers: readonly number[]): Floats =>
  dtype === 'f32' ? Float32Array.from(numbers) : Float64Array.from(numbers)

/** The gradients of a step, counted from 1. */
export function gradientAt({ dtype, elementCount, gradientScale }: GoldenCase, step: number): Floats {
  const isZero = (i: number): boolean => i % 11 === 5 || (i === 3 && step <= 10)
  const elements = Array.from({ length: elementCount }, (_, i) =>
    isZero(i) ? 0 : unit(step * elementCount + i) * gradientScale,
  )
  return rounded(dtype, elements)
}

/** The weights before the first step, as the formula has them. */
export function initialByFormula({ dtype, segments, initialScale }: GoldenCase): Floats {
  const isBias = segments.flatMap((segment) => new Array<boolean>(sizeOf(segment)).fill(segment.name.endsWith('bias')))
  return rounded(dtype, isBias.map((bias, i) => (bias ? 0 : unit(0x40000000 + i) * initialScale))) // prettier-ignore
}
