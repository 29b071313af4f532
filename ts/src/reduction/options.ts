import { FOLD_OP_CODES, OP_CODES } from '../binding/binding.ts'
import { type Compressor, isCompressor } from '../compressor.ts'
import { AdasumError } from '../errors.ts'
import { checkFlag, kindOf, oneOf, reducibleDtype, wholeNumber } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import { checkWeight } from '../tensor/weights.ts'
import { usesGram } from '../kernels/rule.ts'
import { type ReportDetail, reportDetail } from '../kernels/statistics.ts'
import type { AllReduceAlgorithm, FoldOp, OnNonFinite, OpName, ReduceOp, ReduceOptions } from '../types.ts'

const POLICIES: readonly OnNonFinite[] = ['throw', 'skip', 'propagate']
const ALGORITHMS: readonly AllReduceAlgorithm[] = ['auto', 'direct', 'single-shot', 'levels', 'rvh']

const REDUCE_OPS = Object.keys(OP_CODES) as ReduceOp[]
const FOLD_OPS = Object.keys(FOLD_OP_CODES) as FoldOp[]

/** Whether data of a dtype are folded, and not combined with coefficients: integers always are. */
export function isFold(op: OpName, dtype: Dtype): op is FoldOp {
  return dtype.isFoldedInteger || !isCombination(op)
}

/** Whether an operator adds its inputs up with coefficients. */
function isCombination(op: OpName): boolean {
  return usesGram(op) || Object.hasOwn(OP_CODES, op)
}

const FOLDS = FOLD_OPS.join(', ')

/**
 * The dtype in which an all-reduce combines data, or ERR_ARGUMENT: one that can be reduced, or an integer that is
 * folded.
 */
export function checkDtype(found: Dtype, named: unknown, op: OpName): Dtype {
  const isNamed = named === undefined || named === found.name
  if (!found.isFoldedInteger || !isNamed)
    return reducibleDtype(found, named, 'the data', ` By ${FOLDS} also u8, i32, u32, i64 and u64.`)
  if (Object.hasOwn(FOLD_OP_CODES, op)) return found
  throw new AdasumError(
    'ERR_ARGUMENT',
    `op is ${op}, and the data is ${found.name}; integers are combined by one of ${FOLDS}. Use one of these, or a Float32Array ` +
      'or Float64Array.',
  )
}

/** The policy for non-finite inputs; by default operators that look at Gram matrices refuse them, and others compute on. */
export function checkOnNonFinite(policy: unknown, op: OpName): OnNonFinite {
  if (policy === undefined) return usesGram(op) ? 'throw' : 'propagate'
  return oneOf(policy, POLICIES, 'onNonFinite')
}

/**
 * What is reported of each segment, as far as it can be.
 *
 * @throws AdasumError ERR_ARGUMENT for Gram matrices of an operator that looks at none
 */
export function checkReport(
  { coefficients, gram }: Pick<ReduceOptions<unknown>, 'coefficients' | 'gram'>,
  op: OpName,
): ReportDetail {
  checkGram(gram, op)
  return reportDetail(op, checkFlag(coefficients, 'coefficients'), gram)
}

/** @throws AdasumError ERR_ARGUMENT for what is no flag, and for an operator that looks at no Gram matrix */
export function checkGram(gram: unknown, op: OpName): boolean {
  if (!checkFlag(gram, 'gram') || usesGram(op)) return gram === true
  throw new AdasumError(
    'ERR_ARGUMENT',
    `gram is true, and op is ${op}, which multiplies no inputs with each other. Use adasum, or leave gram out.`,
  )
}

/** Bytes of a bucket; undefined for a single one. */
export function checkBucketBytes(bucketBytes: unknown): number | undefined {
  return bucketBytes === undefined ? undefined : wholeNumber(bucketBytes, 'bucketBytes', { least: 1 })
}

/** @throws AdasumError ERR_ARGUMENT, ERR_WORLD_SIZE */
export function checkAlgorithm(given: unknown, size: number): AllReduceAlgorithm {
  const algorithm = given === undefined ? 'auto' : oneOf(given, ALGORITHMS, 'algorithm')
  if (algorithm === 'rvh' && !Number.isInteger(Math.log2(size)))
    throw new AdasumError(
      'ERR_WORLD_SIZE',
      `algorithm 'rvh' halves the world down to single ranks, and ${size} is not a power of two: ` +
        `the next ones are ${2 ** Math.floor(Math.log2(size))} and ${2 ** Math.ceil(Math.log2(size))}. ` +
        "Use 'levels', which takes any size.",
    )
  return algorithm
}

/** The operator within machines; undefined for none. */
export function checkHierarchy(given: unknown, op: OpName, algorithm: AllReduceAlgorithm): ReduceOp | undefined {
  if (given === undefined) return undefined
  const innerOp = oneOf(given, REDUCE_OPS, 'hierarchy')
  if (op !== 'adasum')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `hierarchy is ${innerOp}, and op is ${op}: across machines it is always adasum. Pass op: 'adasum', or leave hierarchy out.`,
    )
  if (algorithm !== 'auto' && algorithm !== 'levels')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `algorithm is ${algorithm}, but with hierarchy the levels are those of the machines. Leave algorithm out.`,
    )
  return innerOp
}

/** Operators that count samples, and what callers write for those whose names do not say it. */
const WEIGHTED_OPS: readonly OpName[] = ['average', 'adasum', 'damped', 'adascale', 'custom']
const WEIGHTED_WORDS = 'average, adasum (with kappa, too), adascale and custom'
const WEIGHTED_LOWER_WORDS = 'average and adasum'

/**
 * Whether weights mean something to an operator, and to the one within machines, if there is one.
 */
export function takesWeights(op: OpName, innerOp?: ReduceOp): boolean {
  return [op, innerOp ?? op].every((each) => WEIGHTED_OPS.includes(each))
}

/**
 * How much this rank's data counts; undefined in a call without weights.
 *
 * @param innerOp - the operator within machines, if there is one
 * @param what - the option's name, for messages
 * @throws AdasumError ERR_ARGUMENT for what is no weight, and for operators to which weights mean nothing
 */
export function checkRankWeight(weight: unknown, op: OpName, innerOp?: ReduceOp, what = 'weight'): number | undefined {
  if (weight === undefined) return undefined
  checkWeightedOp(what, op)
  if (innerOp !== undefined) checkWeightedOp(what, innerOp, 'hierarchy')
  return checkWeight(weight, what)
}

/**
 * @param lowerWhat - the name of the option that has the operator, where that is not `op`
 * @throws AdasumError ERR_ARGUMENT for an operator to which weights mean nothing
 */
export function checkWeightedOp(what: string, op: OpName, lowerWhat?: string): void {
  if (takesWeights(op)) return
  const words = lowerWhat === undefined ? WEIGHTED_WORDS : WEIGHTED_LOWER_WORDS
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${what} is given, and ${lowerWhat ?? 'op'} is ${op}: only ${words} count samples. Use one of these, or leave ${what} out.`,
  )
}

/** The operator by which a rank combines its micro-batches before ranks are combined. */
export function checkLocalOp(localOp: unknown): ReduceOp {
  const hint = ': by it the micro-batches of a rank are combined, before ranks are by op.'
  return oneOf(localOp, REDUCE_OPS, 'local', hint)
}

/** The compressor; undefined for none. Only f32 is quantised, and only for operators that add. */
export function checkCompressor(compressor: unknown, op: OpName, dtype: Dtype): Compressor | undefined {
  if (compressor === undefined) return undefined
  if (!isCompressor(compressor))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `compressor must be a Compressor; got ${kindOf(compressor)}. Make one with new Compressor({ format }).`,
    )
  if (dtype.name === 'f32' && isCombination(op)) return compressor
  throw new AdasumError(
    'ERR_ARGUMENT',
    `a compressor takes f32 and an operator that adds (no min, no max); op is ${op}, and the data is ${dtype.name}. Leave compressor out.`,
  )
}
