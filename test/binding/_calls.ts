/** The binding with typed arrays of the right length, and the distributed use of it on slices in one process. */
import {
  type Binding,
  BLOCK_ELEMENTS,
  DTYPE_CODES,
  FOLD_OP_CODES,
  OP_CODES,
  PAIR_RULE_CODES,
} from '../../ts/src/binding/binding.ts'
import type { HalfDtype, ReduceOp, ReducibleArray } from '../../ts/src/types.ts'

export interface Reduced<A extends ReducibleArray> {
  out: A
  nodes: Float64Array
  stats: Float64Array
}

export const doubles = (...numbers: number[]): Float64Array => Float64Array.from(numbers)
export const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
export const allBytes = (arrays: readonly ArrayBufferView[]): Uint8Array[] => arrays.map(bytesOf)

/** Uint16Arrays that know which half format they hold. */
export class F16Array extends Uint16Array {}
export class Bf16Array extends Uint16Array {}
const HALF_ARRAYS = { f16: F16Array, bf16: Bf16Array }
export const asHalf = (dtype: HalfDtype, array: Uint16Array): Uint16Array => HALF_ARRAYS[dtype].from(array)

export function dtypeOf(array: ReducibleArray): number {
  if (array instanceof F16Array) return DTYPE_CODES.f16
  if (array instanceof Bf16Array) return DTYPE_CODES.bf16
  return array instanceof Float32Array ? DTYPE_CODES.f32 : DTYPE_CODES.f64
}
/** Each input stands for one rank's vector. */
export const ones = (count: number): Float64Array => new Float64Array(count).fill(1)
export const productCount = (count: number): number => (count * (count + 1)) / 2
export const wholePieces = (...segments: number[]): Float64Array => doubles(...segments.flatMap((n) => [n, 0, n]))

const EACH_BYTE_A_CHARACTER = new TextDecoder('latin1')

/** The bits, so that NaN and the sign of zero count in a comparison. */
export const bitsOf = (array: ArrayBufferView): string => EACH_BYTE_A_CHARACTER.decode(bytesOf(array))

type ReduceArguments = Parameters<Binding['reduce']>

/** Arguments of reduce with results of the right size. */
export function reduceArguments<A extends ReducibleArray>(
  binding: Binding,
  op: ReduceOp,
  inputs: readonly A[],
  pieces = wholePieces(inputs[0]!.length),
): { args: ReduceArguments; results: Reduced<A> } {
  const k = inputs.length
  const results: Reduced<A> = {
    out: inputs[0]!.slice().fill(-77) as A,
    nodes: new Float64Array(binding.nodeCount(pieces) * productCount(k)),
    stats: new Float64Array((pieces.length / 3) * (2 + k)),
  }
  const { out, nodes, stats } = results
  const code = dtypeOf(inputs[0]!)
  const args: ReduceArguments = [
    OP_CODES[op],
    code,
    code,
    allBytes(inputs),
    ones(k),
    pieces,
    bytesOf(out),
    nodes,
    stats,
  ]
  return { args, results }
}

export function reduce<A extends ReducibleArray>(binding: Binding, op: ReduceOp, inputs: readonly A[]): Reduced<A> {
  const { args, results } = reduceArguments(binding, op, inputs)
  binding.reduce(...args)
  return results
}

export function fold<A extends ReducibleArray>(binding: Binding, op: 'min' | 'max', inputs: readonly A[]): A {
  const out = inputs[0]!.slice() as A
  binding.fold(FOLD_OP_CODES[op], dtypeOf(out), allBytes(inputs), bytesOf(out))
  return out
}

/** Adasum of one segment as ranks do it: each has a run of blocks, and the small tables are exchanged. */
export function reduceCut<A extends ReducibleArray>(
  binding: Binding,
  inputs: readonly A[],
  blocksPerRun: number,
): { out: A; coefficients: Float64Array; rounds: number } {
  const [k, length, code] = [inputs.length, inputs[0]!.length, dtypeOf(inputs[0]!)]
  const runs = runsOf(length, blocksPerRun * BLOCK_ELEMENTS)
  const gather = (width: number, fill: (slices: Uint8Array[], piece: Float64Array, nodes: Float64Array) => void) => {
    const nodes = runs.map(({ first, count }) => {
      const piece = doubles(length, first, count)
      const result = new Float64Array((count === length ? 1 : binding.nodeCount(piece)) * width)
      fill(allBytes(inputs.map((input) => input.subarray(first, first + count))), piece, result)
      return [...result]
    })
    const table = doubles(...runs.flatMap(({ first, count }) => [first, count]))
    return binding.gramFinish(length, table, doubles(...nodes.flat()), width)
  }
  const gram = gather(productCount(k), (slices, piece, nodes) => binding.gram(code, slices, piece, nodes))
  const refinements: number[] = []
  for (let rounds = 0; ; rounds++) {
    const answer = binding.coefficients(PAIR_RULE_CODES.adasum, 0, code, ones(k), gram, doubles(...refinements))
    const requestCount = answer[0]!
    if (requestCount === 0) {
      const out = inputs[0]!.slice() as A
      const coefficients = answer.subarray(3)
      binding.combine(code, code, allBytes(inputs), doubles(length), coefficients, bytesOf(out))
      return { out, coefficients, rounds }
    }
    const requests = Array.from({ length: requestCount }, (_, i) => answer.subarray(1 + i * (k + 2)).subarray(0, k + 2))
    const vectors = doubles(...requests.flatMap((request) => [...request.subarray(2)]))
    const width = requestCount * (k + 1)
    const products = gather(width, (slices, piece, nodes) => binding.refine(code, slices, vectors, piece, nodes))
    requests.forEach(([first, count], i) =>
      refinements.push(first!, count!, ...products.subarray(i * (k + 1), (i + 1) * (k + 1))),
    )
  }
}

function runsOf(length: number, runElements: number): { first: number; count: number }[] {
  const runCount = Math.max(1, Math.ceil(length / runElements))
  return Array.from({ length: runCount }, (_, i) => {
    const first = i * runElements
    return { first, count: Math.min(runElements, length - first) }
  })
}
