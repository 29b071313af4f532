/** Types that every layer shares. */
import type { Compressor } from './compressor.ts'

/** Arrays whose elements can be reduced. */
export type FloatArray = Float32Array | Float64Array

/** The half formats: IEEE binary16 and bfloat16, two bytes an element. */
export type HalfDtype = 'f16' | 'bf16'

/** Arrays that can be reduced: a Uint16Array holds the bits of a half format, named by the option `dtype`. */
export type ReducibleArray = FloatArray | Uint16Array

/** Arrays of integers that all-reduce combines by sum (which wraps), min and max. */
export type IntegerArray = Uint8Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array

/** Arrays whose elements can be moved (broadcast, allGather); the reducible ones included. */
export type NumericArray =
  | FloatArray
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

/** Named arrays of one dtype, one segment a name, in insertion order. */
export type NamedArrays<A extends NumericArray = FloatArray> = Record<string, A>

/** The operators that combine floats with one weight for each input and segment. */
export type ReduceOp = 'sum' | 'average' | 'adasum'

/** The operators by which all-reduce combines integers: element by element, with the same bits in any order. */
export type FoldOp = 'sum' | 'min' | 'max'

/** Every operator of an all-reduce. */
export type AllReduceOp = ReduceOp | FoldOp

/**
 * An operator beyond the paper's, with its parameters, which are the same on every rank (docs/operators.md has the
 * formulas). All look at the Gram matrix of each segment, as `adasum` does.
 */
export type Operator = DampedOperator | AdascaleOperator | AdaconsOperator | GafOperator | CustomOperator

/** Adasum that subtracts more or less of what two vectors share. Any number of ranks. */
export interface DampedOperator {
  /** `adasum`. */
  readonly name: 'adasum'
  /** What is subtracted, in times of what Adasum subtracts: from 0 (the sum) by way of 1 (`adasum`) to 2. */
  readonly kappa: number
}

/** Two vectors are multiplied by 1 / (1 + cos). Any number of ranks. */
export interface AdascaleOperator {
  /** `adascale`. */
  readonly name: 'adascale'
  /** The largest factor, from 1 to 100. Default 1. */
  readonly cap?: number
}

/** Adaptive consensus: a result whose length does not depend on the gradients'. At most 16 ranks or inputs. */
export interface AdaconsOperator {
  /** `adacons`. */
  readonly name: 'adacons'
}

/** Gradient agreement filtering: gradients too far from the others are left out. At most 16 ranks or inputs. */
export interface GafOperator {
  /** `gaf`. */
  readonly name: 'gaf'
  /** How far is too far: a cosine distance, from 0 to 2. */
  readonly tau: number
}

/** A function of your own. At most 16 ranks or inputs. */
export interface CustomOperator {
  /** `custom`. */
  readonly name: 'custom'
  /** Gives the coefficients of a segment. */
  readonly coefficients: CoefficientFunction
}

/** The dot products of all pairs of gradients in one segment: `gram[i][j]` is g_i . g_j. */
export type GramMatrix = readonly Float64Array[]

/** The segment that a Gram matrix is of. */
export interface GramSegment {
  /** As in `segments` of the result. */
  readonly name: string
  /** Elements of the segment. */
  readonly elementCount: number
  /** The ranks (local functions: input indices) whose gradients the matrix is of, in order: those that take part. */
  readonly inputs: readonly number[]
  /**
   * How much each of these counts, by `weight` or `weights`: positive numbers. All are 1 in a call without weights, and
   * where all would be equal.
   */
  readonly weights: readonly number[]
}

/**
 * Returns one finite coefficient for each row of the matrix; the result of the segment is sum c_i g_i. It must be pure:
 * equal arguments must give equal coefficients, on every rank. It is called synchronously, once for each segment, on the
 * ranks that combine that segment.
 */
export type CoefficientFunction = (gram: GramMatrix, segment: GramSegment) => ArrayLike<number>

/** Operators as descriptors, metrics and messages name them. `damped` is Adasum with a kappa. */
export type OpName = AllReduceOp | 'damped' | 'adascale' | 'adacons' | 'gaf' | 'custom'

/**
 * What to do if a rank's input has NaN or infinity in it (for f64, unless the op is min or max, also: a segment whose
 * squared norm overflows). Integers never do.
 * `throw`: ERR_NON_FINITE on every rank, inputs untouched. `skip`: leave that rank out; if all ranks are, the result is
 * zero, whatever the op. `propagate`: compute on.
 */
export type OnNonFinite = 'throw' | 'skip' | 'propagate'

/** What a reduction has done in one segment. */
export interface SegmentReduction {
  /** The array's name in an object of named arrays, otherwise the segment's index as a string. */
  name: string
  /** Elements of the segment. */
  elementCount: number
  /** |result|^2 / sum |g_i|^2: 1 for orthogonal inputs, 1/n for n identical ones. Not with sum, average and folds. */
  orthogonality?: number
  /**
   * The factor of each input (rank order): result = sum c_i g_i. With `coefficients: true` or `gram: true`, where
   * `orthogonality` is.
   */
  coefficients?: number[]
  /**
   * The dot products of all pairs of inputs (rank order), in f64: `gram[i][j]` is g_i . g_j. Rows and columns of inputs that were
   * left out are NaN; 0 in segments without elements. With `gram: true`; absent in collectives of more than 16 ranks, with algorithm `rvh` and with a
   * hierarchy, where no rank ever has the products of all pairs.
   */
  gram?: GramMatrix
}

/** What a reduction resolves to. */
export interface Reduction<D = ReducibleArray> {
  /** `out` if it was given, otherwise `data` itself (collectives) or a new array (local functions). */
  result: D
  /** The segments, in the order of the data. */
  segments: SegmentReduction[]
  /** Only with `weight` or `weights`: how much each rank's (local functions: each input's) data counted. */
  weights?: number[]
  /**
   * Ranks (local functions: input indices) whose input was not finite. Always empty with `propagate`: nothing is
   * scanned.
   */
  nonFiniteRanks: number[]
  /**
   * Bytes this rank handed to the network for this call, headers included; 0 for local functions. What ranks of this
   * machine read in its memory does not count.
   */
  bytesSent: number
  /** Only with micro-batches: how this rank's own were combined. */
  local?: LocalReduction
}

/** How a rank's own micro-batches were combined, before ranks were. */
export interface LocalReduction {
  /** The segments, in the order of the data. */
  segments: SegmentReduction[]
  /** Indices of micro-batches (slots) that were not finite. Always empty with `propagate`: nothing is scanned. */
  nonFiniteInputs: number[]
}

/** The names of a call's options. The compiler makes sure that none is missing; calls refuse any other option. */
export type OptionNames<O> = Readonly<Record<keyof O, true>>

/** Options of every call of a communicator. */
export interface CallOptions {
  /** Time without any progress of this call after which it fails with ERR_TIMEOUT. Default 300,000. */
  timeoutMs?: number
  /** Aborting before the first byte was sent fails this call only; after it, the whole group. */
  signal?: AbortSignal
}

export const CALL_OPTIONS: OptionNames<CallOptions> = { timeoutMs: true, signal: true }

/** Options of every reduction. */
export interface ReduceOptions<D> {
  /**
   * Receives the result; same lengths and dtype as the data, or Float32Arrays where that is a half format. Collectives
   * without it work in place.
   */
  out?: D
  /** Which half format the Uint16Arrays hold; required for them, and allowed for nothing else. */
  dtype?: HalfDtype
  /** Element counts of the segments (layers), adding up to the array's length. Named arrays bring their own. */
  segments?: ArrayLike<number>
  /** Default `throw` for operators that look at Gram matrices, `propagate` for sum, average, min and max. */
  onNonFinite?: OnNonFinite
  /** Also report each input's coefficients, a segment at a time. */
  coefficients?: boolean
  /**
   * Also report each segment's coefficients and Gram matrix, which operators other than sum, average, min and max look at anyway:
   * 4 n (n + 1) bytes a segment. With those four ERR_ARGUMENT. No error, but no `gram` in the report either, where no rank has
   * the whole matrix: in collectives of more than 16 ranks, with algorithm `rvh` and with a hierarchy. Default false.
   */
  gram?: boolean
}

export const REDUCE_OPTIONS: OptionNames<ReduceOptions<unknown>> = {
  out: true,
  dtype: true,
  segments: true,
  onNonFinite: true,
  coefficients: true,
  gram: true,
}

/**
 * How an all-reduce moves its data: `auto` chooses by world size and bytes, which is right unless two are to be
 * compared. `rvh` is recursive vector halving, for powers of two. All give the same result but for rounding, and any of
 * them the same bits on every rank.
 */
export type AllReduceAlgorithm = 'auto' | 'direct' | 'single-shot' | 'levels' | 'rvh'

/** Options of `allReduce`. */
export interface AllReduceOptions<D, Op extends AllReduceOp | Operator = AllReduceOp | Operator>
  extends ReduceOptions<D>, CallOptions {
  /** Integers take `sum`, `min` and `max` only. */
  op: Op
  /** Default `auto`; the same on every rank. */
  algorithm?: AllReduceAlgorithm
  /**
   * Cuts the call into buckets of whole segments, each of so many bytes or a few more (63 buckets at most): one is
   * reduced while the next one is on the wire. Changes no bit; the same on every rank. Without effect on direct ones,
   * which are reduced as they come. Default: one bucket.
   */
  bucketBytes?: number
  /**
   * With op `adasum`: the ranks of each machine are combined by this first, and then Adasum combines the machines, each
   * counted by its ranks. That is another operator than Adasum of all ranks. The same on every rank.
   */
  hierarchy?: ReduceOp
  /**
   * How much this rank's data counts with `average`, `adasum` (with kappa, too), `adascale` and `custom`: how many samples it
   * stands for, a number from 0 to 2^53. A rank of weight 0 is absent, as one that `skip` leaves out; if all ranks are, the
   * result is zero. Given on every rank or on none. Default: each rank counts once.
   */
  weight?: number
  /** Quantises the data that is sent: for f32, with all operators but `min` and `max`. The same format on every rank. */
  compressor?: Compressor
}

export const ALL_REDUCE_OPTIONS: OptionNames<AllReduceOptions<unknown>> = {
  op: true,
  ...REDUCE_OPTIONS,
  algorithm: true,
  bucketBytes: true,
  hierarchy: true,
  weight: true,
  compressor: true,
  ...CALL_OPTIONS,
}

/** A rank that a call waits for. */
export interface AwaitedRank {
  /** Its number in the group. */
  readonly rank: number
  /** Its address, `host:port`; empty while connecting. */
  readonly address: string
}

/** A call that stands still, as one rank sees it. */
export interface StallReport {
  /** `all-reduce #17` */
  readonly title: string
  /** What was called, such as `all-reduce`; `connect` while connecting. */
  readonly operation: string
  /** Number of the call in its group, from 1. For messages, among those between the two ranks. */
  readonly sequence: number
  /** Op, dtype, elements and segments, such as `adasum f32[61706], 10 segments`. */
  readonly what: string
  /** The group of the call: `world`, or the name of one that `split` made. */
  readonly group: string
  /** This rank, in the group. */
  readonly rank: number
  /** How long there has been no progress, in milliseconds. */
  readonly idleMs: number
  /**
   * Only while connecting: where the ranks meet. If that does not answer, this rank does not know which ranks are
   * missing.
   */
  readonly store?: string
  /** The ranks that this rank waits for. Addresses are empty while connecting, when they are not known yet. */
  readonly waitingFor: readonly AwaitedRank[]
  /** The ranks from which this rank has heard in this call: these have come to it. */
  readonly arrived: readonly number[]
  /** How many later calls wait for the same ranks, or some of them; they get no reports of their own. */
  readonly laterCallCount: number
  /**
   * The other ranks of the call. They may have come to it, too, if the schedule sends nothing from them to this rank.
   */
  readonly notHeard: readonly number[]
}
