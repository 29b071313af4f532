/** One call by levels on all ranks against the local function, for the tests of schedules that store results in between. */
import type { ExecutionContext } from 'ava'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import type { AllReduceAlgorithm, HalfDtype, OnNonFinite, ReduceOp, ReducibleArray } from '../../ts/src/types.ts'
import { type World, bitsOf, makeWorld, onAll } from '../_world.ts'
import { halfFamilyOf, round, widened } from '../reduction/_half.ts'
import { FAMILIES, familyOf, relativeError } from '../reduction/_oracle.ts'

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }
type AnyDtype = 'f32' | 'f64' | HalfDtype
/** What storing a level's result may cost, relative to the result; halves keep 11 and 8 bits. */
export const TOLERANCE: Record<AnyDtype, number> = { f32: 2e-6, f64: 1e-11, f16: 3e-3, bf16: 2e-2 }
/** Those in which rounding is not magnified by what cancels. */
export const TAME = Object.keys(FAMILIES).filter((family) => !family.startsWith('alternating'))

export interface Case {
  algorithm: AllReduceAlgorithm
  segments: number[]
  op?: ReduceOp
  dtype?: AnyDtype
  family?: string
  onNonFinite?: OnNonFinite
  /** Ranks with a NaN in their input. */
  bad?: number[]
  seed?: number
}

export const lengthOf = (segments: readonly number[]): number => segments.reduce((a, b) => a + b)
const isHalf = (dtype: AnyDtype): dtype is HalfDtype => dtype === 'f16' || dtype === 'bf16'

export function inputsOf(
  size: number,
  { segments, dtype = 'f32', family = TAME[0]!, bad = [], seed = 1 }: Case,
): ReducibleArray[] {
  const options = { count: size, length: lengthOf(segments), seed }
  const inputs: ReducibleArray[] = isHalf(dtype)
    ? halfFamilyOf(dtype, family, options)
    : familyOf<Float32Array | Float64Array>(
        family,
        (n) => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n)),
        options,
      )
  for (const rank of bad) inputs[rank]![rank % options.length] = isHalf(dtype) ? round(dtype, NaN) : NaN
  return inputs
}

/** Worlds of so many ranks for each algorithm, each closed before the next one is made. */
export async function* worldsOf(
  sizes: Partial<Record<AllReduceAlgorithm, readonly number[]>>,
  transportOf: (size: number) => Transport = () => createMemoryTransport(),
): AsyncGenerator<{ algorithm: AllReduceAlgorithm; size: number; world: World }> {
  for (const [algorithm, list] of Object.entries(sizes))
    for (const size of list) {
      const world = await makeWorld(size, { transport: transportOf(size) })
      yield { algorithm: algorithm as AllReduceAlgorithm, size, world }
      await world.close()
    }
}

/** Half of the ranks with `out`, the others in place, and coefficients: all of it against the local function. */
export async function check(
  t: ExecutionContext,
  world: World,
  size: number,
  one: Case,
  isExact = false,
): Promise<void> {
  const { algorithm, segments, op = 'adasum', dtype = 'f32', onNonFinite = 'throw' } = one
  const where = `${algorithm}, ${size} ranks: ${op} ${dtype} ${segments.join()}`
  const inputs = inputsOf(size, one)
  const common = { segments, onNonFinite, coefficients: true, ...(isHalf(dtype) && { dtype }) }
  const want = LOCAL[op](inputs as Float32Array[], common)
  const data = inputs.map((input) => input.slice())
  const out = inputs.map((input, rank) => (rank % 2 ? input.slice().fill(0) : undefined))
  const got = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(data[rank]!, { ...common, op, algorithm, ...(out[rank] && { out: out[rank] }) }),
  )
  const bits = bitsOf(isExact ? want.result : got[0]!.result)
  const reports = JSON.stringify((isExact ? want : got[0]!).segments)
  for (const [rank, { result, segments: report, nonFiniteRanks }] of got.entries()) {
    t.is(result, out[rank] ?? data[rank]!)
    if (bitsOf(result) !== bits) t.fail(`${where}: the bits on rank ${rank}`)
    if (JSON.stringify(report) !== reports) t.fail(`${where}: the report on rank ${rank}`)
    if (out[rank] && bitsOf(data[rank]!) !== bitsOf(inputs[rank]!)) t.fail(`${where}: the data of rank ${rank}`)
    t.deepEqual(nonFiniteRanks, want.nonFiniteRanks)
  }
  const wide = (array: ReducibleArray) =>
    isHalf(dtype) ? widened(dtype, array as Uint16Array) : (array as Float64Array)
  const error = relativeError(wide(got[0]!.result), Float64Array.from(wide(want.result)), segments)
  t.true(error <= TOLERANCE[dtype], `${where}: off by ${error}`)
  for (const [i, { name, elementCount, orthogonality, coefficients }] of got[0]!.segments.entries()) {
    const local = want.segments[i]!
    t.deepEqual([name, elementCount], [local.name, local.elementCount])
    const near = (a: number, b: number): boolean =>
      Object.is(a, b) || Math.abs(a - b) <= 10 * TOLERANCE[dtype] * Math.abs(b) + 1e-12
    if (op !== 'adasum') continue
    t.true(
      near(orthogonality!, local.orthogonality!),
      `${where}: orthogonality ${orthogonality} for ${local.orthogonality}`,
    )
    const scale = Math.max(...local.coefficients!.map(Math.abs))
    coefficients!.forEach((c, rank) =>
      t.true(
        Math.abs(c - local.coefficients![rank]!) <= 10 * TOLERANCE[dtype] * scale,
        `${where}: coefficient of rank ${rank}`,
      ),
    )
  }
}

export const SEGMENTS = [[1], [700, 0, 5], [40_000], [3, 0, 9000, 30_000, 12, 0]]
export const OPS: ReduceOp[] = ['adasum', 'average', 'sum']
/** A number alone must not cancel: what rounding is left would be anything, relative to it. */
export const familyFor = (segments: number[], i: number): string =>
  lengthOf(segments) === 1 ? 'a large common part' : TAME[i % TAME.length]!
