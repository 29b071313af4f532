/** Gram matrices in the reports of the local functions: against dot products, and against the same calls without them. */
import test from 'ava'
import { orthogonality } from '../../ts/src/optim/index.ts'
import { adasum, adasumSync, average, reduce, reduceSync, sumSync } from '../../ts/src/reduction/local.ts'
import type { FloatArray, Operator, ReduceOp, SegmentReduction } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf } from '../_world.ts'
import { gramOf } from '../optim/_gram.ts'
import { HALF_DTYPES, halfFamilyOf, widened } from './_half.ts'
import { FAMILIES, familyOf } from './_oracle.ts'

const OPERATORS: (ReduceOp | Operator)[] = [
  'adasum',
  { name: 'adasum', kappa: 0.3 },
  { name: 'adascale' },
  { name: 'adacons' },
  { name: 'gaf', tau: 1 },
  { name: 'custom', coefficients: (gram) => gram.map((_, i) => i / 2) },
]

const sumOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** A reduction takes one element at least. */
const withElements = (counts: number[]): number[] => (sumOf(counts) > 0 ? counts : [...counts, 1])

const anyCase = fc.record({
  op: fc.constantFrom(...OPERATORS),
  count: fc.integer({ min: 1, max: 9 }),
  dtype: fc.constantFrom('f32', 'f64'),
  family: fc.constantFrom(...Object.keys(FAMILIES)),
  segments: fc.array(fc.constantFrom(0, 1, 7, 2047, 2049, 5000), { minLength: 1, maxLength: 4 }).map(withElements),
  /** Bits of the inputs that are left out: by their weight or because they are not finite. */
  absent: fc.oneof(fc.constant(0), fc.nat(0x1ff)),
  isByWeight: fc.boolean(),
  seed: fc.nat(1e6),
})
type Case = typeof anyCase extends fc.Arbitrary<infer C> ? C : never

const isAbsent = ({ absent }: Case, input: number): boolean => ((absent >> input) & 1) === 1

function inputsOf({ count, dtype, family, segments, seed }: Case): FloatArray[] {
  const make = (n: number): FloatArray => (dtype === 'f32' ? new Float32Array(n) : new Float64Array(n))
  return familyOf<FloatArray>(family, make, { count, length: sumOf(segments), seed })
}

/** Throws unless the matrix is that of the inputs, with NaN for those that are absent. */
function checkGram(
  segment: SegmentReduction,
  inputs: readonly ArrayLike<number>[],
  isLeftOut: (i: number) => boolean,
): void {
  const want = gramOf(inputs)
  if (segment.gram?.length !== inputs.length) throw new Error(`the matrix has ${segment.gram?.length} rows`)
  for (const [i, row] of segment.gram.entries()) {
    if (row.length !== inputs.length) throw new Error(`row ${i} has ${row.length} numbers`)
    for (const [j, product] of row.entries()) {
      const isBlank = segment.elementCount > 0 && (isLeftOut(i) || isLeftOut(j))
      const error = Math.abs(product - want[i]![j]!)
      if (isBlank ? !Number.isNaN(product) : !(error <= 1e-12 * Math.sqrt(want[i]![i]! * want[j]![j]!)))
        throw new Error(`gram[${i}][${j}] of segment ${segment.name} is ${product}, expected ${want[i]![j]}`)
    }
  }
}

test('matrices are those of the inputs, and asking for them changes nothing else', (t) => {
  fc.assert(
    fc.property(anyCase, (one) => {
      const inputs = inputsOf(one)
      const plain = inputs.map((input) => input.slice())
      const absent = inputs.map((_, i) => isAbsent(one, i))
      // Only by Adasum do inputs weigh, and an input without elements is always finite.
      const isByWeight = one.isByWeight && one.op === 'adasum'
      inputs.forEach((input, i) => absent[i] && input.fill(NaN))
      const weights = isByWeight ? inputs.map((_, i) => (absent[i] ? 0 : 1 + i)) : undefined
      const options = { op: one.op, segments: one.segments, onNonFinite: 'skip', ...(weights && { weights }) } as const
      const found = reduceSync(inputs, { ...options, gram: true })
      const want = reduceSync(inputs, { ...options, coefficients: true })
      if (bitsOf(found.result) !== bitsOf(want.result)) throw new Error('the bits differ')
      const rest = found.segments.map(({ gram, ...others }) => (gram ? others : { missing: true }))
      if (JSON.stringify(rest) !== JSON.stringify(want.segments)) throw new Error('the reports differ')
      const isNobody = absent.every(Boolean) && sumOf(one.segments) > 0
      let begin = 0
      for (const segment of found.segments) {
        const end = begin + segment.elementCount
        const parts = plain.map((input) => Array.from(input.subarray(begin, end)))
        if (isNobody) {
          if (!segment.gram!.every((row) => row.every(Number.isNaN))) throw new Error('nobody took part')
        } else checkGram(segment, parts, (i) => absent[i]!)
        begin = end
      }
    }),
    { numRuns: runsOf(300) },
  )
  t.pass()
})

test('matrices of segments of several kernel calls', async (t) => {
  const inputs = familyOf('independent', (n) => new Float32Array(n), { count: 3, length: 900_000, seed: 1 })
  for (const op of OPERATORS) {
    const { result, segments } = await reduce(inputs, { op, gram: true, segments: [100, 899_900] })
    t.notThrows(() =>
      checkGram(
        segments[1]!,
        inputs.map((input) => input.subarray(100)),
        () => false,
      ),
    )
    t.is(bitsOf(result), bitsOf((await reduce(inputs, { op, segments: [100, 899_900] })).result))
  }
})

for (const dtype of HALF_DTYPES)
  test(`${dtype}: matrices are those of the numbers that the bits stand for`, (t) => {
    const inputs = halfFamilyOf(dtype, 'independent', { count: 4, length: 3000, seed: 2 })
    const { segments } = adasumSync(inputs, { dtype, gram: true })
    t.notThrows(() =>
      checkGram(
        segments[0]!,
        inputs.map((input) => widened(dtype, input)),
        () => false,
      ),
    )
  })

test('the reported orthogonality is that of the matrix and the coefficients', async (t) => {
  for (const op of OPERATORS) {
    const inputs = familyOf('independent', (n) => new Float64Array(n), { count: 5, length: 500, seed: 3 })
    const [segment] = (await reduce(inputs, { op, gram: true })).segments
    t.true(Math.abs(orthogonality(segment!.gram!, segment!.coefficients!) - segment!.orthogonality!) < 1e-12)
  }
})

test('scaling all inputs by a power of two scales matrices bit for bit', (t) => {
  fc.assert(
    fc.property(anyCase, fc.integer({ min: -40, max: 40 }), (one, exponent) => {
      const inputs = inputsOf(one)
      const longer = inputs.map((input) => input.map((x) => x * 2 ** exponent))
      const [a, b] = [inputs, longer].map((list) => adasumSync(list, { gram: true, segments: one.segments }).segments)
      a!.forEach((segment, s) =>
        segment.gram!.forEach((row, i) =>
          row.forEach((product, j) => {
            if (b![s]!.gram![i]![j] !== product * 4 ** exponent) throw new Error(`gram[${i}][${j}] is not scaled`)
          }),
        ),
      )
    }),
    { numRuns: runsOf(100) },
  )
  t.pass()
})

test('only operators that look at matrices report any, only where it is asked for, and not from a device', async (t) => {
  const inputs = [Float32Array.of(1, 2), Float32Array.of(3, 4)]
  for (const op of ['sum', 'average'] as const) {
    const expected = {
      code: 'ERR_ARGUMENT',
      message: `gram is true, and op is ${op}, which multiplies no inputs with each other. Use adasum, or leave gram out.`,
    }
    await t.throwsAsync(reduce(inputs, { op, gram: true }), expected)
    t.throws(() => reduceSync(inputs, { op, gram: true }), expected)
  }
  t.is(sumSync(inputs, { gram: false }).segments[0]!.gram, undefined)
  await t.throwsAsync(average(inputs, { gram: 1 as never }), {
    code: 'ERR_ARGUMENT',
    message: /gram is 1; it must be true or false/,
  })
  t.false('gram' in adasumSync(inputs, { coefficients: true }).segments[0]!)
  const device = adasum(inputs, { gram: true, backend: 'gpu' })
  await t.throwsAsync(device, { code: 'ERR_UNSUPPORTED', message: /Gram matrices.*backend 'cpu'/ })
  // Nobody looks for a device, and so nobody warns of one that is missing.
  const warnings: Error[] = []
  const note = (warning: Error): void => void warnings.push(warning)
  process.on('warning', note)
  const { segments } = await adasum(inputs, { gram: true, backend: 'auto' })
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  t.deepEqual(warnings, [])
  t.deepEqual(segments[0]!.gram, [Float64Array.of(5, 11), Float64Array.of(11, 25)])
  t.deepEqual(segments[0]!.coefficients!.length, 2)
})
