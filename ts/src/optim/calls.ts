/**
 * Which kernel calls a step consists of. Each takes consecutive parts, at most a few milliseconds' worth. Where norms
 * of segments matter, each segment is a part, and lies in one call however long it is. Otherwise neighbours of one group
 * and method are one part, and are cut anywhere.
 */
import { DTYPE_CODES } from '../binding/binding.ts'
import type { KernelTask } from '../kernels/work.ts'
import { bytesOf } from '../tensor/check.ts'
import type { FloatArray, FloatDtype } from './float-array.ts'
import type { StateArray } from './optimizer-state.ts'
import type { Method, Rule } from './rules.ts'
import type { SegmentPlan } from './segments.ts'

/** Elements of a call: a step moves some 28 bytes of each. */
const CALL_ELEMENTS = 1 << 19

/** Consecutive elements with the same hyperparameters. */
export interface Part {
  /** The segment with its first element, or one before it of the same method and group. */
  readonly segment: number
  readonly begin: number
  readonly end: number
}

/** The parts of one call, the index of the first, and their element counts. All have one rule. */
export interface Call {
  readonly first: number
  readonly parts: readonly Part[]
  readonly counts: Float64Array
}

/** Each segment is a part. */
export function callsBySegment(segments: SegmentPlan): readonly Call[] {
  return inCalls(partsOf(segments), () => true)
}

/** The calls that make the steps of those segments which need no more than them. */
export function stepCalls(segments: SegmentPlan, methods: readonly Method[]): readonly Call[] {
  const ruleOf = ({ segment }: Part): Rule => methods[segment]!.rule
  const merged: Part[] = []
  for (const part of partsOf(segments)) {
    if (ruleOf(part).orthogonalization) continue
    const last = merged.at(-1)
    if (last?.end === part.begin && areAlike(last.segment, part.segment, segments, methods))
      merged[merged.length - 1] = { ...last, end: part.end }
    else merged.push(part)
  }
  const parts = merged.flatMap((part) => (ruleOf(part).isBySegment ? [part] : cut(part)))
  return inCalls(parts, (a, b) => a.end === b.begin && ruleOf(a) === ruleOf(b))
}

/** Calls for one segment alone, element by element. */
export function callsWithin({ begins }: SegmentPlan, segment: number): readonly Call[] {
  return inCalls(cut({ segment, begin: begins[segment]!, end: begins[segment + 1]! }), () => true)
}

function partsOf({ segments, begins }: SegmentPlan): Part[] {
  return segments.map((_, segment) => ({ segment, begin: begins[segment]!, end: begins[segment + 1]! }))
}

function areAlike(a: number, b: number, { groupOf }: SegmentPlan, methods: readonly Method[]): boolean {
  return groupOf[a] === groupOf[b] && methods[a] === methods[b] && !methods[a]!.rule.isBySegment
}

function cut({ segment, begin, end }: Part): Part[] {
  return Array.from({ length: Math.ceil((end - begin) / CALL_ELEMENTS) }, (_, i) => ({
    segment,
    begin: begin + i * CALL_ELEMENTS,
    end: Math.min(end, begin + (i + 1) * CALL_ELEMENTS),
  }))
}

/** @param mayJoin - whether a part may be in one call with the one before it */
function inCalls(parts: readonly Part[], mayJoin: (before: Part, part: Part) => boolean): Call[] {
  const calls: { first: number; parts: Part[] }[] = []
  for (const [index, part] of parts.entries()) {
    const last = calls.at(-1)
    if (last && part.end - last.parts[0]!.begin <= CALL_ELEMENTS && mayJoin(last.parts.at(-1)!, part))
      last.parts.push(part)
    else calls.push({ first: index, parts: [part] })
  }
  return calls.map((call) => ({ ...call, counts: Float64Array.from(call.parts, ({ begin, end }) => end - begin) }))
}

/** Writes the squared norm of each segment of a call to the segment's place in `squares`. */
export function normTask(call: Call, gradient: FloatArray, dtype: FloatDtype, squares: Float64Array): KernelTask {
  const { first, parts, counts } = call
  const pieces = Float64Array.from([...counts].flatMap((count) => [count, 0, count]))
  const nodes = squares.subarray(first, first + parts.length)
  const code = DTYPE_CODES[dtype]
  const inputs = [bytesWithin(call, gradient)]
  return {
    sync: (binding) => binding.gram(code, inputs, pieces, nodes),
    async: (binding) => binding.gramAsync(code, inputs, pieces, nodes),
  }
}

/** A rule with the rows of factors of a call's parts. */
export interface CallRule {
  readonly rule: Pick<Rule, 'code' | 'stateNames'>
  readonly rows: readonly (readonly number[])[]
}

/** What a call reads and writes. */
export interface CallArrays {
  readonly input: Uint8Array
  readonly output: Uint8Array
  readonly state: readonly StateArray[]
}

export function stepTask(
  call: Call,
  { rule: { code, stateNames }, rows }: CallRule,
  dtype: FloatDtype,
  { input, output, state }: CallArrays,
): KernelTask {
  const [first = NO_BYTES, second = NO_BYTES] = stateNames.map((_, index) => {
    const { elements, shifts } = state[index]!
    return bytesWithin(call, elements, shifts[call.parts[0]!.segment])
  })
  const [kind, factors, { counts }] = [DTYPE_CODES[dtype], Float64Array.from(rows.flat()), call]
  return {
    sync: (binding) => binding.step(code, kind, input, counts, factors, output, first, second),
    async: (binding) => binding.stepAsync(code, kind, input, counts, factors, output, first, second),
  }
}

const NO_BYTES = new Uint8Array(0)

/** The bytes of a call's parts in an array. @param shift - by how much the array begins later than the weights */
export function bytesWithin({ parts }: Call, array: FloatArray, shift = 0): Uint8Array {
  const { BYTES_PER_ELEMENT: width } = array
  return bytesOf(array).subarray((parts[0]!.begin - shift) * width, (parts.at(-1)!.end - shift) * width)
}
