/** An all-reduce of weights, or of gradients that lie as these do: one message a dtype, one segment a weight. */
import type { Compressor } from '../compressor.ts'
import { AdasumError } from '../errors.ts'
import type { FlatWeights, WeightDtype } from '../optim/flat-weights.ts'
import { elementCountOf, type WeightSpec, weightLayout } from '../optim/weight-layout.ts'
import { oneOf } from '../tensor/check.ts'
import {
  type AllReduceOp,
  CALL_OPTIONS,
  type CallOptions,
  type OnNonFinite,
  type OptionNames,
  type Reduction,
  type ReduceOp,
  type SegmentReduction,
} from '../types.ts'
import type { Collectives } from './collectives.ts'
import { copiesOf, type FlatCopy } from './flat-copies.ts'
import type { FlatMemory } from './flat-memory.ts'
import { checkSameLayout } from './layout-agreement.ts'
import { callOptionsOf } from './options.ts'
import type { WeightAccess } from './weight-access.ts'

/** How weights, or gradients in a tree, are combined. */
export interface WeightReduceOptions extends CallOptions {
  /** float32 takes all; integers `sum` (which wraps), `min` and `max`; bool `min` (all are true) and `max` (any is). */
  op: AllReduceOp
  /** Default `throw` for adasum, `propagate` for all other operators. */
  onNonFinite?: OnNonFinite
  /** Also report each rank's coefficients in each float32 segment; op `adasum` only. */
  coefficients?: boolean
  /** Also report coefficients and the Gram matrix of the ranks in each float32 segment, as in `allReduce`; op `adasum` only. */
  gram?: boolean
  /** With op `adasum`: the operator that combines the ranks of each machine first. */
  hierarchy?: ReduceOp
  /** Quantises the float32 numbers that are sent. */
  compressor?: Compressor
}

export const WEIGHT_REDUCE_OPTIONS: OptionNames<WeightReduceOptions> = {
  op: true,
  onNonFinite: true,
  coefficients: true,
  gram: true,
  hierarchy: true,
  compressor: true,
  ...CALL_OPTIONS,
}

/** What was done to one weight. */
export interface WeightSegment extends SegmentReduction {
  /** Sizes of its dimensions. */
  shape: readonly number[]
}

/** What an all-reduce of weights did: a segment a weight, in their order. */
export interface WeightReduction {
  /** One a weight. */
  segments: WeightSegment[]
  /** Ranks whose float32 numbers were left out (`onNonFinite: 'skip'`); their integers count. */
  nonFiniteRanks: number[]
  /** Bytes this rank handed to the network. */
  bytesSent: number
}

export interface ReductionSetting {
  caller: string
  advice: string
  memory: FlatMemory
}

const OPS: readonly AllReduceOp[] = ['sum', 'average', 'adasum', 'min', 'max']
const OPS_OF: Readonly<Record<WeightDtype, readonly AllReduceOp[]>> = {
  float32: OPS,
  int32: ['sum', 'min', 'max'],
  uint32: ['sum', 'min', 'max'],
  bool: ['min', 'max'],
}

/**
 * Replaces every weight by the combination of all ranks' weights at that place. The ranks compare their layouts first,
 * in one small all-gather. Nothing is written before everything has arrived.
 *
 * @throws AdasumError ERR_ARGUMENT for an operator that is none, or not one for a weight's dtype; ERR_MISMATCH if the
 *   weights differ between ranks; the communicator's errors
 */
export async function reduceFlat(
  access: WeightAccess<FlatWeights>,
  comm: Collectives,
  options: WeightReduceOptions,
  { caller, advice, memory }: ReductionSetting,
): Promise<WeightReduction> {
  checkOps(access.weights, oneOf(options.op, OPS, 'op'))
  const call = callOptionsOf(options)
  // The answers come while the weights are read, which with a lazy framework means: computed.
  const both = [
    checkSameLayout(weightLayout(access.weights), { comm, caller, advice, call }),
    copiesOf(access, (dtype, elementCount) => memory.of(dtype, elementCount)),
  ] as const
  await Promise.allSettled(both)
  const [, { values, flats }] = await Promise.all(both)
  const calls = flats.map((copy) =>
    comm.allReduce(copy.flat as Float32Array, optionsFor(copy, access.weights, options)),
  )
  // All calls have ended when the first failure is thrown, so that nothing touches the memory any more.
  await Promise.allSettled(calls)
  const reductions = await Promise.all(calls)
  access.writeWeights(values)
  return reportOf(access.weights, flats, reductions)
}

function checkOps(weights: readonly WeightSpec[], op: AllReduceOp): void {
  for (const { name, dtype } of weights) {
    const ops = OPS_OF[dtype as WeightDtype]
    if (ops.includes(op)) continue
    const message = `op is ${op}, and ${name} is ${dtype}, which takes ${ops.join(', ')}. Leave it out, or make it float32.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }
}

type CallOf = WeightReduceOptions & { op: ReduceOp; segments: number[] }

/** Options of one dtype's call: only float32 is compressed, and has anything to report. */
function optionsFor(
  { dtype, members }: FlatCopy,
  weights: readonly WeightSpec[],
  options: WeightReduceOptions,
): CallOf {
  const segments = members.map((index) => elementCountOf(weights[index]!.shape))
  const { op, ...rest } = options
  const own = dtype === 'float32' ? rest : callOptionsOf(options)
  return { ...own, op: op as ReduceOp, segments }
}

function reportOf(
  weights: readonly WeightSpec[],
  flats: readonly FlatCopy[],
  reductions: readonly Reduction[],
): WeightReduction {
  const segments = weights.map(({ name, shape }): WeightSegment => ({
    name,
    shape,
    elementCount: elementCountOf(shape),
  }))
  flats.forEach(({ members }, at) =>
    members.forEach((index, member) => {
      segments[index] = { ...reductions[at]!.segments[member]!, ...segments[index]! }
    }),
  )
  return {
    segments,
    nonFiniteRanks: reductions[flats.findIndex(({ dtype }) => dtype === 'float32')]?.nonFiniteRanks ?? [],
    bytesSent: reductions.reduce((total, { bytesSent }) => total + bytesSent, 0),
  }
}
