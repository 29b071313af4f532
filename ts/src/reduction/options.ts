import { AdasumError, inspect } from '../errors.ts'
import type { AllReduceAlgorithm, OnNonFinite, ReduceOp } from '../types.ts'
import { OP_CODES } from '../binding/binding.ts'

const POLICIES: readonly OnNonFinite[] = ['throw', 'skip', 'propagate']
const ALGORITHMS: readonly AllReduceAlgorithm[] = ['auto', 'direct', 'single-shot', 'levels', 'rvh']

export function checkOp(op: unknown): ReduceOp {
  if (typeof op === 'string' && Object.hasOwn(OP_CODES, op)) return op as ReduceOp
  throw new AdasumError('ERR_ARGUMENT', `op is ${inspect(op)}; it must be one of ${Object.keys(OP_CODES).join(', ')}.`)
}

/** The policy for non-finite inputs; by default adasum refuses them, and sum and average compute on. */
export function checkOnNonFinite(policy: unknown, op: ReduceOp): OnNonFinite {
  if (policy === undefined) return op === 'adasum' ? 'throw' : 'propagate'
  if (POLICIES.includes(policy as OnNonFinite)) return policy as OnNonFinite
  throw new AdasumError('ERR_ARGUMENT', `onNonFinite is ${inspect(policy)}; it must be one of ${POLICIES.join(', ')}.`)
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
