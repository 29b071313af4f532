/**
 * What a calibration measures, and what follows from it. Pure functions.
 *
 * A question compares ways of doing the same thing, each of them what a tuning asks for, at sizes around the threshold
 * between them. The answer is the threshold under which the slower way is taken least: the sum, over all sizes, of how
 * many times slower, as a logarithm. Differences that noise can make count nothing, and of equal answers the one
 * nearest to the default is given, so what does not matter stays as it is.
 */
import { SINGLE_SHOT_SIZE } from '../../collectives/schedule/schedule.ts'
import { DEFAULT_TUNING, type Tuning, type TuningName, TUNING_BOUNDS } from '../../tuning.ts'

/** Less than this much slower is as fast. */
const NOISE = 0.05

/** One of the things compared: what it is called, and the tuning that asks for it. */
export interface Way {
  readonly name: string
  readonly tuning: Partial<Tuning>
}

export interface Question {
  readonly decides: readonly TuningName[]
  readonly collective: 'all-reduce' | 'broadcast'
  readonly worldSizes: readonly number[]
  /** Bytes of a rank's vector. */
  readonly byteLengths: readonly number[]
  readonly ways: readonly Way[]
}

/** Medians of one question at one world size and byte length. */
export interface Measurement {
  readonly n: number
  readonly byteLength: number
  /** By way. */
  readonly p50Us: readonly number[]
}

const KIB = 1 << 10
const MIB = 1 << 20
const least = (name: TuningName): Partial<Tuning> => ({ [name]: TUNING_BOUNDS[name][0] })
const most = (...names: TuningName[]): Partial<Tuning> =>
  Object.fromEntries(names.map((name) => [name, TUNING_BOUNDS[name][1]]))
/** Powers of two times a unit. */
const doubled = (unit: number, count: number): number[] => Array.from({ length: count }, (_, i) => unit * 2 ** i)

/** What ranks of a world of `size` can find out: two have no choice but how to go direct. */
export function questionsFor(size: number): Question[] {
  return [direct(size), scatter(size), offThread(size), STREAM, WRITE].filter(({ worldSizes }) => worldSizes.length > 0)
}

function direct(size: number): Question {
  return {
    decides: ['directSize', 'directByteLength'],
    collective: 'all-reduce',
    worldSizes: Array.from({ length: Math.max(0, Math.min(size, SINGLE_SHOT_SIZE) - 2) }, (_, i) => 3 + i),
    byteLengths: doubled(8 * KIB, 7),
    ways: [
      { name: 'direct', tuning: most('directSize', 'directByteLength') },
      { name: 'single-shot', tuning: least('directByteLength') },
    ],
  }
}

function scatter(size: number): Question {
  return {
    decides: ['scatterByteLength'],
    collective: 'broadcast',
    worldSizes: size > 2 ? [size] : [],
    byteLengths: doubled(64 * KIB, 6),
    ways: [
      { name: 'flat', tuning: most('scatterByteLength') },
      { name: 'scatter-gather', tuning: least('scatterByteLength') },
    ],
  }
}

/** Under single-shot the slices that a rank receives, its own included, are as long together as one vector. */
function offThread(size: number): Question {
  return {
    decides: ['offThreadByteLength'],
    collective: 'all-reduce',
    worldSizes: size > 2 ? [Math.min(size, SINGLE_SHOT_SIZE)] : [],
    byteLengths: doubled(256 * KIB, 6),
    ways: [
      { name: 'main-thread', tuning: most('offThreadByteLength') },
      { name: 'off-thread', tuning: least('offThreadByteLength') },
    ],
  }
}

const STREAM: Question = {
  decides: ['streamByteLength'],
  collective: 'all-reduce',
  worldSizes: [2],
  byteLengths: doubled(256 * KIB, 6),
  ways: [
    { name: 'at-once', tuning: most('streamByteLength') },
    { name: 'streamed', tuning: least('streamByteLength') },
  ],
}

const WRITE: Question = {
  decides: ['writeByteLength'],
  collective: 'all-reduce',
  worldSizes: [2],
  byteLengths: [32 * MIB],
  ways: [1, 4, 8, 32].map((mebibytes) => ({
    name: `${mebibytes}MiB`,
    tuning: { writeByteLength: mebibytes * MIB },
  })),
}

/** What to change in the default tuning; what keeps its default is included. */
export function answer(question: Question, measurements: readonly Measurement[]): Partial<Tuning> {
  const candidates = candidatesFor(question, measurements).toSorted((a, b) => distance(a) - distance(b))
  const lossOf = (candidate: Partial<Tuning>): number =>
    measurements.reduce((sum, measured) => sum + loss(measured.p50Us, wayUnder(candidate, question, measured)), 0)
  // Of those that are as good, the first: the nearest to the default.
  return candidates.reduce((best, candidate) => (lossOf(candidate) < lossOf(best) - 1e-9 ? candidate : best))
}

/** How much slower the way taken is than the fastest, as a logarithm; 0 within the noise. */
function loss(p50Us: readonly number[], way: number): number {
  const ratio = p50Us[way]! / Math.min(...p50Us)
  return ratio > 1 + NOISE ? Math.log(ratio) : 0
}

/** The index of the way that a tuning takes. */
function wayUnder(tuning: Partial<Tuning>, { decides, ways }: Question, { n, byteLength }: Measurement): number {
  const [name] = decides as [TuningName]
  if (name === 'writeByteLength') return ways.findIndex((way) => way.tuning[name] === tuning[name])
  if (name !== 'directSize') return byteLength >= tuning[name]! ? 1 : 0
  return n <= tuning.directSize! && byteLength <= tuning.directByteLength! ? 0 : 1
}

function candidatesFor({ decides, ways }: Question, measurements: readonly Measurement[]): Partial<Tuning>[] {
  const [name] = decides as [TuningName]
  if (name === 'writeByteLength') return ways.map(({ tuning }) => tuning)
  const byteLengths = [...new Set(measurements.map(({ byteLength }) => byteLength))]
  if (name === 'directSize') return directCandidates(measurements, byteLengths)
  const beyond = 2 * Math.max(...byteLengths)
  return [DEFAULT_TUNING[name], ...byteLengths, beyond].map((value) => ({ [name]: value }))
}

function directCandidates(measurements: readonly Measurement[], byteLengths: readonly number[]): Partial<Tuning>[] {
  const largest = Math.max(...measurements.map(({ n }) => n))
  const sizes = [DEFAULT_TUNING.directSize, ...Array.from({ length: largest - 1 }, (_, i) => 2 + i)]
  const candidates = sizes.flatMap((directSize) =>
    [DEFAULT_TUNING.directByteLength, 0, ...byteLengths].map((directByteLength) => ({ directSize, directByteLength })),
  )
  // Longer vectors in worlds larger than those measured would be a guess, and everyone sends everything to everyone there.
  return candidates.filter(
    ({ directSize, directByteLength }) => directSize <= largest || directByteLength <= DEFAULT_TUNING.directByteLength,
  )
}

/** How many times the values are doubled or halved. */
function distance(tuning: Partial<Tuning>): number {
  return Object.entries(tuning).reduce((sum, [name, value]) => {
    const usual = DEFAULT_TUNING[name as TuningName]
    return sum + Math.abs(Math.log2((value + 1) / (usual + 1)))
  }, 0)
}
