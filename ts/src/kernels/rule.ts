/** By which rule a reduction gets its coefficients, and which operators look at Gram matrices for that. */
import { FOLD_OP_CODES, OP_CODES, PAIR_RULE_CODES } from '../binding/binding.ts'
import type { GramMatrix, GramSegment, OpName, ReduceOp } from '../types.ts'

/** Coefficients, one an input, from a matrix of finite numbers. */
export type MatrixRule = (gram: GramMatrix, segment: GramSegment) => Float64Array

export type Rule =
  /** One kernel call does it all. */
  | { readonly kind: 'fused'; readonly op: ReduceOp }
  /** The tree over the inputs, whose nodes combine two vectors by a rule of the core. */
  | { readonly kind: 'pairs'; readonly pairs: PairRule }
  /** All of a segment's Gram matrix at once. `isCompared`: ranks that have used the same matrix compare what came of it. */
  | { readonly kind: 'matrix'; readonly matrix: MatrixRule; readonly isCompared: boolean }

/** What `coefficients` of the binding takes first. */
export interface PairRule {
  readonly code: number
  readonly parameter: number
}

const ADASUM: PairRule = { code: PAIR_RULE_CODES.adasum, parameter: 0 }

export function pairsOf(rule: Rule): PairRule {
  return rule.kind === 'pairs' ? rule.pairs : ADASUM
}

/** Whether coefficients follow from products of the inputs; those of sum and average, and folds, do not. */
export function usesGram(op: OpName): boolean {
  return op === 'adasum' || !(Object.hasOwn(OP_CODES, op) || Object.hasOwn(FOLD_OP_CODES, op))
}
