/** Numbers and text beside arrays: what JSON holds without a loss. */
import { AdasumError } from '../errors.ts'
import { kindOf } from '../tensor/check.ts'
import { displayText } from './json-reader.ts'

/** Plain JSON: finite numbers, strings, booleans, null, lists and plain objects of them. */
export type CheckpointValues = Readonly<Record<string, unknown>>

const MOST_DEPTH = 100

/**
 * A copy of the values, as they will be read.
 * @throws AdasumError ERR_ARGUMENT, with the place, for what JSON would change or leave out
 */
export function copyValues(values: CheckpointValues, what: string): CheckpointValues {
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    throw new AdasumError('ERR_ARGUMENT', `${what} must be an object; got ${kindOf(values)}. Pass { name: value }.`)
  checkValue(values, what, 0)
  return JSON.parse(JSON.stringify(values)) as CheckpointValues
}

function checkValue(value: unknown, where: string, depth: number): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number' && Number.isFinite(value)) return
  if (depth > MOST_DEPTH) refuse(where, `is nested more than ${MOST_DEPTH} deep`)
  if (typeof value === 'number') refuse(where, `is ${value}, which JSON cannot hold`)
  if (Array.isArray(value)) return value.forEach((item, index) => checkValue(item, `${where}[${index}]`, depth + 1))
  if (!isPlain(value))
    refuse(where, `is ${kindOf(value)}, which JSON cannot hold; arrays of numbers go into \`arrays\``)
  for (const [key, item] of Object.entries(value))
    // As JSON does with optional fields.
    if (item !== undefined) checkValue(item, `${where}.${displayText(key).slice(1, -1)}`, depth + 1)
}

// Objects of other realms have a prototype of that realm, which in turn has none.
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value) as object | null
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function refuse(where: string, why: string): never {
  throw new AdasumError('ERR_ARGUMENT', `${where} ${why}. Pass plain JSON.`)
}
