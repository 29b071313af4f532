/**
 * What a calibration measures, and what follows from it. Pure functions.
 *
 * A question compares ways of doing the same thing, each of which a tuning chooses, at sizes around the threshold
 * between them. The answer is the threshold that loses least: the loss is the sum, over all sizes, of the logarithm of
 * how many times slower the way chosen is than the fastest. A difference that noise can make counts nothing. Of equal
 * answers the one nearest to the default wins, so that what does not matter stays as it is.
 */
import { SINGLE_SHOT_SIZE } from '../../collectives/schedule/schedule.ts'
import { DEFAULT_TUNING, type Tuning, type TuningName, TUNING_BOUNDS } from '../../tuning.ts'

/** A way that is slower by less than this share counts as equally fast. */
const NOISE = 0.05

/** One of the ways compared: its name, and the tuning that chooses it. */
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
  /** One for each way, in the order of the question's ways. */
  readonly p50Us: readonly number[]
}

const KIB = 1 << 10
const MIB = 1 << 20
const least = (name: TuningName): Partial<Tuning> => ({ [name]: TUNING_BOUNDS[name][0] })
const most = (...names: TuningName[]): Partial<Tuning> =>
  Object.fromEntries(names.map((name) => [name, TUNING_BOUNDS[name][1]]))
/** Powers of two times a unit. */
const doublings = (unit: number, count: number): number[] => Array.from({ length: count }, (_, i) => unit * 2 ** i)

/** The questions that a world of `size` ranks can answer. Two ranks always go direct, so that fewer concern them. */
export function questionsFor(size: number): Question[] {
  return [direct(size), scatter(size), offThread(size), STREAM, WRITE].filter(({ worldSizes }) => worldSizes.length > 0)
}

function direct(size: number): Question {
  return {
    decides: ['directSize', 'directByteLength'],
    collective: 'all-reduce',
    worldSizes: Array.from({ length: Math.max(0, Math.min(size, SINGLE_SHOT_SIZE) - 2) }, (_, i) => 3 + i),
    byteLengths: doublings(8 * KIB, 7),
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
    byteLengths: doublings(64 * KIB, 6),
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
    byteLengths: doublings(256 * KIB, 6),
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
  byteLengths: doublings(256 * KIB, 6),
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

/** The values of the tuning that a question decides, also those that keep their default. */
export function answer(question: Question, measurements: readonly Measurement[]): Partial<Tuning> {
  const candidates = candidatesFor(question, measurements).toSorted((a, b) => distance(a) - distance(b))
  const lossOf = (candidate: Partial<Tuning>): number =>
    measurements.reduce(
      (sum, measurement) => sum + loss(measurement.p50Us, wayUnder(candidate, question, measurement)),
      0,
    )
  // The first of equally good ones is the nearest to the default.
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
  // Longer vectors in worlds larger than those measured would be a guess, and everyone sends everything to everyone
  // there.
  return candidates.filter(
    ({ directSize, directByteLength }) => directSize <= largest || directByteLength <= DEFAULT_TUNING.directByteLength,
  )
}

/** How far a tuning is from the default: how many times its values are doubled or halved. */
function distance(tuning: Partial<Tuning>): number {
  return Object.entries(tuning).reduce((sum, [name, value]) => {
    const usual = DEFAULT_TUNING[name as TuningName]
    return sum + Math.abs(Math.log2((value + 1) / (usual + 1)))
  }, 0)
}
