/** The option `op`: a name, or an operator with its parameters, checked. */
import { FOLD_OP_CODES, OP_CODES, PAIR_RULE_CODES } from '../binding/binding.ts'
import { AdasumError, inspect, reading, reasonOf } from '../errors.ts'
import { printable } from '../printable.ts'
import { adacons, agreementFilter } from '../kernels/matrix-rule.ts'
import type { MatrixRule, Rule } from '../kernels/rule.ts'
import { kindOf, oneOf, readNumbers } from '../tensor/check.ts'
import type { CoefficientFunction, OpName, Operator, ReduceOp } from '../types.ts'

/** An operator that has been checked. */
export interface Operation {
  readonly name: OpName
  /** What ranks must agree on besides the name. */
  readonly parameter?: number
  /** How it gets its coefficients; undefined for minimum and maximum, which have none. */
  readonly rule: Rule | undefined
}

const OPS = [...new Set([...Object.keys(OP_CODES), ...Object.keys(FOLD_OP_CODES)])] as readonly OpName[]

/** What each operator with parameters takes, beside its name. */
const PARAMETERS: Readonly<Record<Operator['name'], readonly string[]>> = {
  adasum: ['kappa'],
  adascale: ['cap'],
  adacons: [],
  gaf: ['tau'],
  custom: ['coefficients'],
}

const KINDS = Object.keys(PARAMETERS) as Operator['name'][]

const REDUCE_OPS = Object.keys(OP_CODES) as ReduceOp[]
const OTHERWISE = `, or an operator with parameters, such as { name: 'adasum', kappa: 0.5 }.`

/** @throws AdasumError ERR_ARGUMENT for an unknown name, a name or parameter too many, and a parameter out of range */
export function checkOperation(op: unknown): Operation {
  if (typeof op !== 'object' || op === null) return plainOperation(oneOf(op, OPS, 'op', OTHERWISE))
  return reading('op', () => operationOf({ ...op }))
}

/**
 * The option `op` of callers that keep it and pass it on, such as trainers, as it was when it was checked: no minimum and
 * no maximum.
 *
 * @throws AdasumError ERR_ARGUMENT as `checkOperation`
 */
export function checkKeptOp(op: unknown): ReduceOp | Operator {
  if (typeof op !== 'object' || op === null) return oneOf(op, REDUCE_OPS, 'op', OTHERWISE)
  const kept = reading('op', () => ({ ...op }))
  checkOperation(kept)
  return kept as Operator
}

export function plainOperation(name: OpName): Operation {
  return { name, rule: Object.hasOwn(OP_CODES, name) ? { kind: 'fused', op: name as ReduceOp } : undefined }
}

function operationOf({ name: given, ...parameters }: Record<string, unknown>): Operation {
  const name = oneOf(given, KINDS, 'op.name', '. Operators without parameters are passed by their names alone.')
  const known = PARAMETERS[name]
  const unknown = Object.keys(parameters).find((key) => parameters[key] !== undefined && !known.includes(key))
  if (unknown !== undefined)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `op has no parameter "${inspect(unknown)}". With name '${name}' it takes ${known.join(', ') || 'none'}.`,
    )
  switch (name) {
    case 'adasum': {
      const kappa = numberBetween(parameters['kappa'], 'op.kappa', 0, 2)
      // The same bits, by the faster way.
      return kappa === 1 ? plainOperation('adasum') : byPairs('damped', kappa)
    }
    case 'adascale':
      return byPairs('adascale', numberBetween(parameters['cap'] ?? 1, 'op.cap', 1, 100))
    case 'adacons':
      return { name, rule: { kind: 'matrix', matrix: adacons, isCompared: false } }
    case 'gaf': {
      const parameter = numberBetween(parameters['tau'], 'op.tau', 0, 2)
      return { name, parameter, rule: { kind: 'matrix', matrix: agreementFilter(parameter), isCompared: false } }
    }
    case 'custom':
      return { name, rule: { kind: 'matrix', matrix: checkedFunction(parameters['coefficients']), isCompared: true } }
  }
}

/** The caller's function, which may throw or return anything. */
function checkedFunction(given: unknown): MatrixRule {
  if (typeof given !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `op.coefficients must be a function; got ${kindOf(given)}.`)
  const call = given as CoefficientFunction
  return (gram, segment) => {
    const what = `op.coefficients of segment ${printable(segment.name, NAME_CHARACTERS)}`
    const found = outcomeOf(() => call(gram, segment), what)
    refusePromise(found, what)
    const numbers = readNumbers(found, Infinity, what)
    if (numbers.length !== gram.length)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what} has ${numbers.length} numbers for ${gram.length} inputs. Return one an input.`,
      )
    const bad = numbers.findIndex((c) => !Number.isFinite(c))
    if (bad >= 0)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what}: number ${bad} is ${inspect(numbers[bad])}. Return finite numbers.`,
      )
    return Float64Array.from(numbers)
  }
}

const NAME_CHARACTERS = 100

function outcomeOf(call: () => unknown, what: string): unknown {
  try {
    return call()
  } catch (cause) {
    const reason = printable(reasonOf(cause), 300)
    throw new AdasumError('ERR_ARGUMENT', `${what} threw: ${reason}. Return one finite number an input.`, { cause })
  }
}

function refusePromise(found: unknown, what: string): void {
  const isPromise = reading(what, () => typeof (found as { then?: unknown } | null | undefined)?.then === 'function')
  if (!isPromise) return
  // Nobody else hears of it if it is rejected.
  Promise.resolve(found).catch(() => undefined)
  throw new AdasumError('ERR_ARGUMENT', `${what} is a promise. Return the numbers at once.`)
}

/** The most inputs whose Gram matrix operators take at once: those of a single-shot all-reduce. */
export const MOST_INPUTS: number = 16

/**
 * @param inputs - what is counted, such as `ranks`
 * @throws AdasumError ERR_UNSUPPORTED if the operator needs the Gram matrix of more inputs than there may be
 */
export function checkInputCount({ name, rule }: Operation, count: number, inputs: string): void {
  if (rule?.kind !== 'matrix' || count <= MOST_INPUTS) return
  throw new AdasumError(
    'ERR_UNSUPPORTED',
    `op is ${name}, which takes at most ${MOST_INPUTS} ${inputs} at once; there are ${count}. Combine groups of them first, by split or ` +
      "reduce, or use an operator over pairs: 'adasum', also with kappa, or adascale.",
  )
}

function byPairs(name: 'damped' | 'adascale', parameter: number): Operation {
  return { name, parameter, rule: { kind: 'pairs', pairs: { code: PAIR_RULE_CODES[name], parameter } } }
}

function numberBetween(value: unknown, what: string, least: number, most: number): number {
  // Zero has one sign, so that ranks agree on its bits.
  if (typeof value === 'number' && value >= least && value <= most) return value + 0
  throw new AdasumError('ERR_ARGUMENT', `${what} is ${inspect(value)}; it must be a number from ${least} to ${most}.`)
}
