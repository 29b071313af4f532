/** The codes in a collective's descriptor, and the words for them. */
import { hexOf } from '../bytes.ts'
import { FOLD_OP_CODES, FORMAT_CODES, OP_CODES } from '../binding/binding.ts'
import type { Compressor } from '../compressor.ts'
import { AdasumError } from '../errors.ts'
import type { CallWords } from '../observe/observer.ts'
import { dtypeByteLength, dtypeName } from '../tensor/dtype.ts'
import type { OpName, ReduceOp } from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'

export const COLLECTIVES = {
  'all-reduce': 1,
  broadcast: 2,
  'all-gather': 3,
  barrier: 4,
  split: 5,
  'all-to-all': 6,
  message: 7,
  'reduce-scatter': 8,
  join: 9,
} as const
export type CollectiveName = keyof typeof COLLECTIVES
const WITHOUT_ELEMENTS: readonly number[] = [COLLECTIVES.barrier, COLLECTIVES.split, COLLECTIVES.join]

export const SCHEDULES = { direct: 1, 'single-shot': 2, flat: 3, 'scatter-gather': 4, levels: 5, rvh: 6 } as const
export type ScheduleName = keyof typeof SCHEDULES

export const NON_FINITE_CODES = { throw: 1, skip: 2, propagate: 3 } as const

/** Call flags. The other bits say how the numbers are compressed: compressionFlags. */
export const WITH_COEFFICIENTS = 1
/** In calls that gather: the ranks' parts differ in length. */
export const UNEVEN = 2
/** In calls that reduce: each rank's input counts with a weight of its own. */
export const WEIGHTED = 2
/** Reductions report Gram matrices. */
export const WITH_GRAM: number = 1 << 4
const FORMAT_SHIFT = 2
const BLOCK_SHIFT = 5
/** Rank flags. */
export const NOT_FINITE = 1

/** All-reduce operators, as in the binding; 0 is also what the other collectives carry. */
export const ALL_REDUCE_OP_CODES: Readonly<Record<OpName, number>> = {
  ...OP_CODES,
  ...FOLD_OP_CODES,
  damped: 5,
  adascale: 6,
  adacons: 7,
  gaf: 8,
  custom: 9,
}

/** What the parameter of an operator is called. */
const PARAMETER_NAMES: Readonly<Record<string, string>> = { damped: 'kappa', adascale: 'cap', gaf: 'tau' }
const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/**
 * An operator's parameter in the field of the root, which reductions have none of: rounded to the upper half of an f32,
 * so that messages can show it. Its other digits are in the hash of the layout.
 */
export function parameterCode(parameter: number | undefined): number {
  float[0] = parameter ?? 0
  return (bits[0]! + 0x8000) >>> 16
}

function parameterOf({ root }: Descriptor): number {
  bits[0] = root << 16
  return float[0]!
}

/**
 * The op code has a second digit, of this weight: 0, or 1 plus the operator by which the ranks of each machine are
 * combined first.
 */
const INNER_OP_FACTOR = 16
/** The third digit, of this weight: 0, or 1 plus the operator by which each rank has combined its micro-batches. */
const LOCAL_OP_FACTOR = 64

export interface LowerOps {
  /** Within machines. */
  readonly innerOp?: ReduceOp | undefined
  /** Within ranks. */
  readonly localOp?: ReduceOp | undefined
}

export function opCode(op: OpName, { innerOp, localOp }: LowerOps): number {
  const code = (lower: ReduceOp | undefined): number => (lower === undefined ? 0 : 1 + OP_CODES[lower])
  return ALL_REDUCE_OP_CODES[op] + INNER_OP_FACTOR * code(innerOp) + LOCAL_OP_FACTOR * code(localOp)
}

/**
 * The call flags of a compressor. A format takes two of the eight bits: one less than its code. The logarithm of a block's
 * length takes three.
 */
export function compressionFlags(compressor: Compressor | undefined): number {
  if (!compressor) return 0
  const { format, blockElementCount } = compressor
  const block = format === 'int8' ? Math.log2(blockElementCount) - LOG2_SMALLEST_BLOCK : 0
  return ((FORMAT_CODES[format] - 1) << FORMAT_SHIFT) | (block << BLOCK_SHIFT)
}

const LOG2_SMALLEST_BLOCK = 4

const nameOf = (codes: Record<string, number>, code: number): string =>
  Object.keys(codes).find((name) => codes[name] === code) ?? `unknown (${code})`

export function collectiveName(descriptor: Descriptor): string {
  return nameOf(COLLECTIVES, descriptor.collective)
}

/** Whether the collective computes; the others carry no op. */
export const hasOp = ({ collective }: Descriptor): boolean =>
  collective === COLLECTIVES['all-reduce'] || collective === COLLECTIVES['reduce-scatter']

/** Whether the collective computes by a function of the caller's, of which the descriptor does not say which. */
export function hasOwnFunction(descriptor: Descriptor): boolean {
  return hasOp(descriptor) && descriptor.op % INNER_OP_FACTOR === ALL_REDUCE_OP_CODES.custom
}

/** Whether each rank's input counts with a weight of its own. */
export function isWeighted(descriptor: Descriptor): boolean {
  return hasOp(descriptor) && (descriptor.flags & WEIGHTED) !== 0
}

const wordsByCodes = new Map<number, CallWords>()
const shadowWords = new Map<CallWords, CallWords>()

/** As wordsOf, for a call that this rank takes part in because it has joined: it is no call of its user's. */
export function shadowWordsOf(descriptor: Descriptor): CallWords {
  const words = wordsOf(descriptor)
  let shadow = shadowWords.get(words)
  if (!shadow) {
    const operation = `shadowed ${words.operation}`
    shadowWords.set(words, (shadow = { ...words, operation, key: `${operation} ${words.op}` }))
  }
  return shadow
}

/** What the codes of a descriptor mean; the same object for the same codes. */
export function wordsOf(descriptor: Descriptor): CallWords {
  const { collective, op, dtype, schedule } = descriptor
  // There are few collectives and schedules, so this is a small integer.
  const codes = (((collective << 8) | op) << 16) | (dtype << 8) | (formatOf(descriptor) << 5) | schedule
  let words = wordsByCodes.get(codes)
  if (!words) wordsByCodes.set(codes, (words = newWords(descriptor)))
  return words
}

function newWords(descriptor: Descriptor): CallWords {
  const operation = collectiveName(descriptor)
  const op = hasOp(descriptor) ? opName(descriptor.op) : ''
  // Code 0 is a dtype's, too, so it cannot stand for "no elements".
  const hasElements = !WITHOUT_ELEMENTS.includes(descriptor.collective)
  const elementByteLength = hasElements ? dtypeByteLength(descriptor.dtype) : 0
  const dtype = hasElements ? dtypeName(descriptor.dtype) : ''
  const schedule = descriptor.schedule > 0 ? nameOf(SCHEDULES, descriptor.schedule) : ''
  const format = formatOf(descriptor) > 0 ? nameOf(FORMAT_CODES, formatOf(descriptor)) : ''
  return { operation, op, dtype, elementByteLength, schedule, format, key: `${operation} ${op}` }
}

/** The code of the format in which numbers travel; 0 if they are not compressed. */
function formatOf({ flags }: Descriptor): number {
  const format = (flags >> FORMAT_SHIFT) & 3
  return format === 0 ? 0 : format + 1
}

/** What a call does, in words: for instance `adasum f32[61706], 10 segments`. */
export function callInWords(descriptor: Descriptor): string {
  const array = `${dtypeName(descriptor.dtype)}[${descriptor.elementCount}]`
  const segments = descriptor.segmentCount > 1 ? `, ${descriptor.segmentCount} segments` : ''
  switch (descriptor.collective) {
    case COLLECTIVES['all-reduce']:
    case COLLECTIVES['reduce-scatter']:
      return `${opName(descriptor.op)}${parameterInWords(descriptor)} ${array}${segments}`
    case COLLECTIVES.broadcast:
      return `broadcast ${array}${segments} from rank ${descriptor.root}`
    case COLLECTIVES['all-gather']:
    case COLLECTIVES['all-to-all']: {
      const what = (descriptor.flags & UNEVEN) !== 0 ? `${dtypeName(descriptor.dtype)}, uneven` : array
      return `${collectiveName(descriptor)} ${what}`
    }
    case COLLECTIVES.message:
      return `${array}${segments}`
    default:
      return collectiveName(descriptor)
  }
}

function parameterInWords(descriptor: Descriptor): string {
  const name = PARAMETER_NAMES[nameOf(ALL_REDUCE_OP_CODES, descriptor.op % INNER_OP_FACTOR)]
  return name === undefined ? '' : ` (${name} ${Number(parameterOf(descriptor).toPrecision(3))})`
}

function opName(code: number): string {
  const nameOfLower = (part: number): string => nameOf(OP_CODES, Math.floor(part) - 1)
  const op = nameOf(ALL_REDUCE_OP_CODES, code % INNER_OP_FACTOR)
  const inner = (code % LOCAL_OP_FACTOR) / INNER_OP_FACTOR
  const local = code / LOCAL_OP_FACTOR
  const ofMachines = inner < 1 ? '' : ` of machines (${nameOfLower(inner)} within)`
  return `${op}${ofMachines}${local < 1 ? '' : ` after ${nameOfLower(local)} of micro-batches`}`
}

function flagsInWords(descriptor: Descriptor): string {
  const { flags } = descriptor
  const format = formatOf(descriptor)
  const coefficients = (flags & WITH_COEFFICIENTS) !== 0 ? ', with coefficients' : ''
  const gram = hasOp(descriptor) && (flags & WITH_GRAM) !== 0 ? ', with Gram matrices' : ''
  const weights = isWeighted(descriptor) ? ', with weights' : ''
  const reported = `${coefficients}${gram}${weights}`
  if (format === 0) return `${reported}, not compressed`
  const block = 2 ** (LOG2_SMALLEST_BLOCK + (flags >> BLOCK_SHIFT))
  const blocks = format === FORMAT_CODES.int8 ? ` in blocks of ${block}` : ''
  return `${reported}, compressed to ${nameOf(FORMAT_CODES, format)}${blocks}`
}

/** Words for the first difference between two descriptors that `callInWords` leaves out. */
function remainingDifference(mine: Descriptor, theirs: Descriptor): [string, string] {
  if (mine.onNonFinite !== theirs.onNonFinite) {
    const words = (d: Descriptor): string => `, onNonFinite '${nameOf(NON_FINITE_CODES, d.onNonFinite)}'`
    return [words(mine), words(theirs)]
  }
  if (mine.schedule !== theirs.schedule) {
    const words = (d: Descriptor): string => `, schedule ${nameOf(SCHEDULES, d.schedule)}`
    return [words(mine), words(theirs)]
  }
  if (mine.resultDtype !== theirs.resultDtype) {
    const words = (d: Descriptor): string => `, result ${dtypeName(d.resultDtype)}`
    return [words(mine), words(theirs)]
  }
  if (mine.flags !== theirs.flags) return [flagsInWords(mine), flagsInWords(theirs)]
  const hashed = parameterInWords(mine) === '' ? 'machines or buckets' : 'machines, buckets or parameter'
  const words = (d: Descriptor): string => `, segments, names, ${hashed} of hash ${hexOf(d.layoutHash)}`
  return [words(mine), words(theirs)]
}

/** One of two ranks whose calls differ. */
interface Side {
  readonly rank: number
  readonly descriptor: Descriptor
  /** The peer's address; undefined for this rank itself. */
  readonly address?: string
  /** Whether it has joined, and takes part in what another rank has called. */
  readonly isShadow: boolean
}

/**
 * ERR_MISMATCH that prints what both ranks called, lower rank first.
 *
 * @param title - `all-reduce #17`
 */
export function mismatchError(title: string, sequence: number, mine: Side, theirs: Side): AdasumError {
  let [a, b] = [callInWords(mine.descriptor), callInWords(theirs.descriptor)]
  if (a === b) {
    const [moreA, moreB] = remainingDifference(mine.descriptor, theirs.descriptor)
    ;[a, b] = [a + moreA, b + moreB]
  }
  const sides = [
    { ...mine, words: a },
    { ...theirs, words: b },
  ].sort((x, y) => x.rank - y.rank)
  const list = sides.map((side) => `${nameOfSide(side)}: ${side.words}`).join('; ')
  const operation = collectiveName(mine.descriptor)
  return new AdasumError(
    'ERR_MISMATCH',
    `${title} differs. ${list[0]!.toUpperCase()}${list.slice(1)}. ` +
      'Call the same collectives in the same order with the same shapes, segments and options on every rank.',
    { rank: mine.rank, peerRank: theirs.rank, peerAddress: theirs.address, operation, sequence },
  )
}

function nameOfSide({ rank, address, isShadow }: Side): string {
  return `rank ${rank}${address ? ` (${address})` : ''}${isShadow ? ', which has joined and follows another rank' : ''}`
}
