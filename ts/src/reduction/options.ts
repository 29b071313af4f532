import { FOLD_OP_CODES, OP_CODES } from '../binding/binding.ts'
import { type Compressor, isCompressor } from '../compressor.ts'
import { AdasumError, inspect } from '../errors.ts'
import { describe, reducibleDtype } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { AllReduceAlgorithm, AllReduceOp, FoldOp, OnNonFinite, ReduceOp } from '../types.ts'

const POLICIES: readonly OnNonFinite[] = ['throw', 'skip', 'propagate']
const ALGORITHMS: readonly AllReduceAlgorithm[] = ['auto', 'direct', 'single-shot', 'levels', 'rvh']

function checkName<Name extends string>(op: unknown, codes: Readonly<Record<Name, number>>): Name {
  if (typeof op === 'string' && Object.hasOwn(codes, op)) return op as Name
  throw new AdasumError('ERR_ARGUMENT', `op is ${inspect(op)}; it must be one of ${Object.keys(codes).join(', ')}.`)
}

export function checkOp(op: unknown): ReduceOp {
  return checkName(op, OP_CODES)
}

export function checkAllReduceOp(op: unknown): AllReduceOp {
  return checkName(op, { ...OP_CODES, ...FOLD_OP_CODES })
}

/** Whether data of a dtype are folded, and not combined with coefficients: integers always are. */
export function isFold(op: AllReduceOp, dtype: Dtype): op is FoldOp {
  return dtype.isFoldedInteger || !Object.hasOwn(OP_CODES, op)
}

const FOLDS = Object.keys(FOLD_OP_CODES).join(', ')

/** The dtype in which an all-reduce combines data, or ERR_ARGUMENT: one that can be reduced, or an integer that is folded. */
export function checkDtype(found: Dtype, named: unknown, op: AllReduceOp): Dtype {
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

/** The policy for non-finite inputs; by default adasum refuses them, and the other operators compute on. */
export function checkOnNonFinite(policy: unknown, op: AllReduceOp): OnNonFinite {
  if (policy === undefined) return op === 'adasum' ? 'throw' : 'propagate'
  if (POLICIES.includes(policy as OnNonFinite)) return policy as OnNonFinite
  throw new AdasumError('ERR_ARGUMENT', `onNonFinite is ${inspect(policy)}; it must be one of ${POLICIES.join(', ')}.`)
}

/** Bytes of a bucket; undefined for a single one. */
export function checkBucketBytes(bucketBytes: unknown): number | undefined {
  if (bucketBytes === undefined || (Number.isSafeInteger(bucketBytes) && (bucketBytes as number) > 0))
    return bucketBytes as number | undefined
  throw new AdasumError('ERR_ARGUMENT', `bucketBytes is ${inspect(bucketBytes)}; it must be a whole number above 0.`)
}

/** @throws AdasumError ERR_ARGUMENT, ERR_WORLD_SIZE */
export function checkAlgorithm(algorithm: unknown, size: number): AllReduceAlgorithm {
  if (algorithm === undefined) return 'auto'
  if (!ALGORITHMS.includes(algorithm as AllReduceAlgorithm))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `algorithm is ${inspect(algorithm)}; it must be one of ${ALGORITHMS.join(', ')}.`,
    )
  if (algorithm === 'rvh' && !Number.isInteger(Math.log2(size)))
    throw new AdasumError(
      'ERR_WORLD_SIZE',
      `algorithm 'rvh' halves the world down to single ranks, and ${size} is not a power of two: ` +
        `the next ones are ${2 ** Math.floor(Math.log2(size))} and ${2 ** Math.ceil(Math.log2(size))}. ` +
        "Use 'levels', which takes any size.",
    )
  return algorithm as AllReduceAlgorithm
}

/** The operator within machines; undefined for none. */
export function checkHierarchy(innerOp: unknown, op: AllReduceOp, algorithm: AllReduceAlgorithm): ReduceOp | undefined {
  if (innerOp === undefined) return undefined
  const names = Object.keys(OP_CODES)
  if (!names.includes(innerOp as string))
    throw new AdasumError('ERR_ARGUMENT', `hierarchy is ${inspect(innerOp)}; it must be one of ${names.join(', ')}.`)
  if (op !== 'adasum')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `hierarchy is ${innerOp as string}, and op is ${op}: across machines it is always adasum. Pass op: 'adasum', or leave hierarchy out.`,
    )
  if (algorithm !== 'auto' && algorithm !== 'levels')
    throw new AdasumError(
      'ERR_ARGUMENT',
      `algorithm is ${algorithm}, but with hierarchy the levels are those of the machines. Leave algorithm out.`,
    )
  return innerOp as ReduceOp
}

/** The operator by which a rank combines its micro-batches before ranks are combined. */
export function checkLocalOp(localOp: unknown): ReduceOp {
  if (typeof localOp === 'string' && Object.hasOwn(OP_CODES, localOp)) return localOp as ReduceOp
  throw new AdasumError(
    'ERR_ARGUMENT',
    `local is ${inspect(localOp)}; it must be one of ${Object.keys(OP_CODES).join(', ')}: by it the micro-batches of a rank are ` +
      'combined, before ranks are by op.',
  )
}

/** What quantises; undefined for nothing. Only f32 is quantised, and only what is added up. */
export function checkCompressor(compressor: unknown, op: AllReduceOp, dtype: Dtype): Compressor | undefined {
  if (compressor === undefined) return undefined
  if (!isCompressor(compressor))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `compressor must be a Compressor; got ${describe(compressor)}. Make one with new Compressor({ format }).`,
    )
  if (dtype.name === 'f32' && Object.hasOwn(OP_CODES, op)) return compressor
  throw new AdasumError(
    'ERR_ARGUMENT',
    `a compressor takes f32 and one of ${Object.keys(OP_CODES).join(', ')}; op is ${op}, and the data is ${dtype.name}. Leave compressor out.`,
  )
}
