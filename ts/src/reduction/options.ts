import { AdasumError, inspect } from '../errors.ts'
import type { OnNonFinite, ReduceOp } from '../types.ts'
import { OP_CODES } from '../binding/binding.ts'

const POLICIES: readonly OnNonFinite[] = ['throw', 'skip', 'propagate']

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
