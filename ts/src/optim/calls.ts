/**
 * Which kernel calls a step consists of. Each takes consecutive parts, at most a few milliseconds' worth. Where norms
 * of segments matter, each segment is a part, and lies in one call however long it is. Otherwise neighbours of one group
 * are one part, and are cut anywhere.
 */
import { DTYPE_CODES } from '../binding/binding.ts'
import type { KernelTask } from '../kernels/work.ts'
import { bytesOf } from '../tensor/check.ts'
import type { FloatArray, FloatDtype } from './float-array.ts'
import type { SegmentPlan } from './segments.ts'

/** Elements of a call: a step moves some 28 bytes of each. */
const CALL_ELEMENTS = 1 << 19

/** Consecutive elements with the same hyperparameters. */
interface Part {
  readonly group: number
  readonly begin: number
  readonly end: number
}

/** The parts of one call, the index of the first, and their element counts. */
export interface Call {
  readonly first: number
  readonly parts: readonly Part[]
  readonly counts: Float64Array
}

export function callsBySegment({ begins, groupOf }: SegmentPlan): readonly Call[] {
  return inCalls(groupOf.map((group, i) => ({ group, begin: begins[i]!, end: begins[i + 1]! })))
}

export function callsByGroup(plan: SegmentPlan): readonly Call[] {
  const merged: Part[] = []
  for (const { parts } of callsBySegment(plan))
    for (const part of parts) {
      const last = merged.at(-1)
      if (last?.group === part.group) merged[merged.length - 1] = { ...last, end: part.end }
      else merged.push(part)
    }
  return inCalls(merged.flatMap(cut))
}

function cut({ group, begin, end }: Part): Part[] {
  return Array.from({ length: Math.ceil((end - begin) / CALL_ELEMENTS) }, (_, i) => ({
    group,
    begin: begin + i * CALL_ELEMENTS,
    end: Math.min(end, begin + (i + 1) * CALL_ELEMENTS),
  }))
}

function inCalls(parts: readonly Part[]): Call[] {
  const calls: { first: number; parts: Part[] }[] = []
  for (const [index, part] of parts.entries()) {
    const last = calls.at(-1)
    if (last && part.end - last.parts[0]!.begin <= CALL_ELEMENTS) last.parts.push(part)
    else calls.push({ first: index, parts: [part] })
  }
  return calls.map((call) => ({ ...call, counts: Float64Array.from(call.parts, ({ begin, end }) => end - begin) }))
}

/** Writes the squared norm of each segment of a call to the segment's place in `squares`. */
export function normTask(
  { first, parts, counts }: Call,
  gradient: FloatArray,
  dtype: FloatDtype,
  squares: Float64Array,
): KernelTask {
  const pieces = Float64Array.from([...counts].flatMap((count) => [count, 0, count]))
  const nodes = squares.subarray(first, first + parts.length)
  const code = DTYPE_CODES[dtype]
  const inputs = [bytesWithin(parts, gradient)]
  return {
    sync: (binding) => binding.gram(code, inputs, pieces, nodes),
    async: (binding) => binding.gramAsync(code, inputs, pieces, nodes),
  }
}

export interface StepArrays {
  readonly gradient: FloatArray
  readonly weights: FloatArray
  /** As many as the rule keeps. */
  readonly state: readonly FloatArray[]
}

/** @param rows - the factors of each group */
export function stepTask(
  { parts, counts }: Call,
  rule: number,
  dtype: FloatDtype,
  rows: readonly (readonly number[])[],
  { gradient, weights, state }: StepArrays,
): KernelTask {
  const factors = Float64Array.from(parts.flatMap(({ group }) => rows[group]!))
  const [first = NO_BYTES, second = NO_BYTES] = state.map((array) => bytesWithin(parts, array))
  const [input, output] = [gradient, weights].map((array) => bytesWithin(parts, array)) as [Uint8Array, Uint8Array]
  const code = DTYPE_CODES[dtype]
  return {
    sync: (binding) => binding.step(rule, code, input, counts, factors, output, first, second),
    async: (binding) => binding.stepAsync(rule, code, input, counts, factors, output, first, second),
  }
}

const NO_BYTES = new Uint8Array(0)

function bytesWithin(parts: readonly Part[], array: FloatArray): Uint8Array {
  const { BYTES_PER_ELEMENT: width } = array
  return bytesOf(array).subarray(parts[0]!.begin * width, parts.at(-1)!.end * width)
}
