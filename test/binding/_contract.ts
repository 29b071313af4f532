/**
 * What every implementation of Binding must do; each is run through it by a test file of its own, in Node.js and in browsers.
 */
import test from 'ava'
import { ABI, type Binding, FOLD_OP_CODES, PAIR_RULE_CODES } from '../../ts/src/binding/binding.ts'
import type { FloatArray, ReduceOp } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { sampleOf } from '../_sample.ts'
import { FAMILIES, familyOf, oracle, relativeError } from '../reduction/_oracle.ts'
import { bitsOf, bytesOf, doubles, ones, reduce, reduceArguments, reduceCut, wholePieces } from './_calls.ts'
import { foldsContract } from './_folds.ts'
import { halfFormatsContract } from './_half-formats.ts'
import { hostileContract } from './_hostile.ts'
import { orthogonalizingContract } from './_orthogonalizing.ts'
import { quantisingContract } from './_quantizing.ts'
import { steppingContract } from './_stepping.ts'

const OPS: readonly ReduceOp[] = ['sum', 'average', 'adasum']
const MAKERS: Record<'f32' | 'f64', (length: number) => FloatArray> = {
  f32: (length) => new Float32Array(length),
  f64: (length) => new Float64Array(length),
}

// f32: one rounding. f64: a near cancellation leaves 1e-16 / noise of the recursion's own digits, and short vectors may
// cancel by chance.
const tolerance = (dtype: string, family: string): number =>
  dtype === 'f32' ? 1.2e-7 : family === 'alternating sign, 1e-4 noise' ? 1e-8 : 1e-12

/** How much of the contract a binding is run through: all of it once, and elsewhere a sample of what differs in numbers alone. */
export type Extent = 'everything' | 'sample'

export function contract(binding: Binding, extent: Extent, { isa }: { isa?: string } = {}): void {
  test('names its version and instruction set', (t) => {
    t.is(binding.abi(), ABI)
    t.true(binding.isas().includes(binding.isa()))
    if (isa !== undefined) t.is(binding.isa(), isa)
  })

  reductions(binding, extent)
  halfFormatsContract(binding)
  copies(binding)
  checksums(binding)
  foldsContract(binding, extent)
  quantisingContract(binding)
  steppingContract(binding)
  orthogonalizingContract(binding)
  tables(binding)
  asynchronousForms(binding)
  hostileContract(binding, extent)
}

/** Families, counts of inputs and lengths of the comparison with the recursion, each with a seed of its own. */
const REDUCTIONS = Object.keys(FAMILIES)
  .flatMap((family) =>
    [1, 2, 3, 4, 5, 7, 8, 9].flatMap((count) => [1, 3, 8, 31, 257, 5000].map((length) => ({ family, count, length }))),
  )
  .map((one, i) => ({ ...one, seed: i + 1 }))

function reductions(binding: Binding, extent: Extent): void {
  for (const dtype of ['f32', 'f64'] as const) {
    test(`${dtype}: reduce equals the pairwise recursion`, (t) => {
      const cases = extent === 'everything' ? REDUCTIONS : sampleOf(`reduce ${dtype}`, REDUCTIONS, 25)
      for (const { family, count, length, seed } of cases) {
        const inputs = familyOf(family, MAKERS[dtype], { count, length, seed })
        for (const op of OPS) {
          const error = relativeError(reduce(binding, op, inputs).out, oracle(op, inputs))
          if (error <= tolerance(dtype, family)) continue
          t.fail(`${op} of ${family}, ${count} inputs of ${length}, seed ${seed}: off by ${error}`)
        }
      }
      t.pass()
    })

    test(`${dtype}: a segment that is cut into runs has the bits of a whole one`, (t) => {
      const families = ['independent', 'alternating sign, 10 % noise', 'alternating sign, 1e-4 noise']
      let rounds = 0
      for (const family of families) {
        for (const count of [2, 4, 7]) {
          const inputs = familyOf(family, MAKERS[dtype], { count, length: 11_111, seed: count })
          const whole = reduce(binding, 'adasum', inputs)
          for (const blocks of [1, 2, 3, 100]) {
            const cut = reduceCut(binding, inputs, blocks)
            t.is(bitsOf(cut.out), bitsOf(whole.out))
            t.deepEqual(cut.coefficients, whole.stats.subarray(2))
            rounds += cut.rounds
          }
        }
      }
      t.true(dtype === 'f32' || rounds > 0, 'no vector was ever measured: the families are too mild')
    })
  }

  test('reduces segments apart, leaves cut pieces alone and hands out their nodes', (t) => {
    const inputs = familyOf('independent', MAKERS.f32, { count: 3, length: 10 + 4096 + 7, seed: 1 })
    const pieces = doubles(10, 0, 10, 9000, 2048, 4096, 7, 0, 7)
    const { args, results } = reduceArguments(binding, 'adasum', inputs, pieces)
    binding.reduce(...args)
    const part = (begin: number, end: number) => inputs.map((input) => input.slice(begin, end))
    const first = reduce(binding, 'adasum', part(0, 10))
    const last = reduce(binding, 'adasum', part(4106, 4113))
    t.deepEqual(results.out.subarray(0, 10), first.out)
    t.true(results.out.subarray(10, 4106).every((x) => x === -77))
    t.deepEqual(results.out.subarray(4106), last.out)
    t.deepEqual(results.stats, doubles(...first.stats, NaN, NaN, NaN, NaN, NaN, ...last.stats))
    // Blocks 1 and 2 of 5 are no siblings: two nodes.
    t.is(binding.nodeCount(pieces), 2)
    const nodes = new Float64Array(12)
    binding.gram(0, part(10, 4106).map(bytesOf), doubles(9000, 2048, 4096), nodes)
    t.deepEqual(results.nodes, nodes)
  })

  test('leaves absent inputs out, unread', (t) => {
    const inputs = familyOf('independent', MAKERS.f64, { count: 4, length: 100, seed: 2 })
    inputs[2]!.fill(NaN)
    for (const op of OPS) {
      const { args, results } = reduceArguments(binding, op, inputs)
      args[4] = doubles(1, 2, 0, 3)
      binding.reduce(...args)
      t.true(results.out.every(Number.isFinite), op)
    }
    const { args, results } = reduceArguments(binding, 'adasum', inputs)
    args[4] = doubles(0, 0, 0, 1)
    binding.reduce(...args)
    t.deepEqual(results.out, inputs[3])
    t.deepEqual([results.stats[0], ...results.stats.subarray(2)], [1, 0, 0, 0, 1])
  })

  test('an input counts as often as it weighs', (t) => {
    const inputs = [doubles(1, 0), doubles(3, 0)]
    const of = (op: ReduceOp, weights: Float64Array) => {
      const { args, results } = reduceArguments(binding, op, inputs)
      args[4] = weights
      binding.reduce(...args)
      return [...results.out, ...(op === 'adasum' ? results.stats : [])]
    }
    t.deepEqual(of('average', doubles(3, 1)), [1.5, 0])
    t.deepEqual(of('average', doubles(2 ** 32, 2 ** 32)), [2, 0])
    t.deepEqual(of('sum', doubles(3, 1)), [4, 0])
    // Parallel vectors average: 3/4 of the one, 1/4 of the other. |1.5|^2 of 1 + 9.
    const [first, second, orthogonality, squaredNormSum, ...coefficients] = of('adasum', doubles(3, 1))
    t.deepEqual([first, second, squaredNormSum, ...coefficients], [1.5, 0, 10, 1 - (3 * 3) / 4, 1 - 1 / 3 / 4])
    t.true(Math.abs(orthogonality! - 0.225) < 1e-15)
  })

  test('the result may take the place of an input', (t) => {
    for (const op of OPS) {
      for (const target of [0, 1, 2]) {
        const inputs = familyOf('independent', MAKERS.f32, { count: 3, length: 3000, seed: target })
        const expected = reduce(binding, op, inputs)
        const { args } = reduceArguments(binding, op, inputs)
        args[6] = args[3][target]!
        binding.reduce(...args)
        t.is(bitsOf(inputs[target]!), bitsOf(expected.out), `${op} into input ${target}`)
      }
    }
  })

  test('any numbers: the result is the combination that the coefficients name', (t) => {
    const vectors = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 60 })).chain(([k, n]) =>
      fc.array(fc.float32Array({ minLength: n, maxLength: n, noNaN: true, noDefaultInfinity: true }), {
        minLength: k,
        maxLength: k,
      }),
    )
    fc.assert(
      fc.property(vectors, (inputs) => {
        const { out, stats } = reduce(binding, 'adasum', inputs)
        const combined = new Float32Array(out.length)
        const counts = doubles(out.length)
        binding.combine(0, 0, inputs.map(bytesOf), counts, stats.subarray(2), bytesOf(combined))
        return bitsOf(combined) === bitsOf(out)
      }),
      { numRuns: runsOf(extent === 'everything' ? 300 : 50) },
    )
    t.pass()
  })
}

function copies({ copy }: Binding): void {
  if (!copy) return
  test('copy gives the bytes of any length, and refuses another length, memory of its own and what is no memory', (t) => {
    for (const length of [0, 1, 1000, (4 << 20) + 13]) {
      const from = Uint8Array.from({ length: length + 3 }, (_, i) => (i * 31) >> 3)
      const to = new Uint8Array(length + 9).fill(7)
      copy(from.subarray(3), to.subarray(5, 5 + length))
      t.deepEqual(Buffer.from(to.buffer, 5, length), Buffer.from(from.buffer, 3, length))
      t.deepEqual([...to.subarray(0, 5), ...to.subarray(5 + length)], Array(9).fill(7))
    }
    const bytes = new Uint8Array(16)
    t.throws(() => copy(bytes, new Uint8Array(15)), { code: 'ERR_ARGUMENT' })
    t.throws(() => copy(bytes.subarray(0, 9), bytes.subarray(7)), { code: 'ERR_ARGUMENT' })
    t.throws(() => copy(new Float64Array(2) as unknown as Uint8Array, bytes))
    structuredClone(bytes, { transfer: [bytes.buffer] })
    t.throws(() => copy(new Uint8Array(0), bytes))
  })
}

/** CRC-32 of IEEE 802.3 by its definition, a bit at a time. */
function crc32ByBits(bytes: Uint8Array): number {
  let remainder = ~0
  for (const byte of bytes) {
    remainder ^= byte
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0)
  }
  return ~remainder >>> 0
}

function checksums({ crc32 }: Binding): void {
  if (!crc32) return
  test('crc32 is as defined, for any length and place', (t) => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * i * 31) >> 5)
    t.is(crc32(new TextEncoder().encode('123456789')), 0xcbf43926)
    for (const from of [0, 1, 7])
      for (const length of [0, 1, 8, 63, 64, 65, 1000, 4900])
        t.is(crc32(bytes.subarray(from, from + length)), crc32ByBits(bytes.subarray(from, from + length)), `${length}`)
    t.throws(() => crc32(new Float64Array(2) as unknown as Uint8Array))
    t.throws(() => crc32('bytes' as unknown as Uint8Array))
  })
}

function tables(binding: Binding): void {
  test('nodeCount counts the maximal nodes of cut pieces', (t) => {
    t.is(binding.nodeCount(doubles()), 0)
    t.is(binding.nodeCount(wholePieces(5000, 0, 7)), 0)
    // Blocks 1..6 of 7: [1] [2 3] [4 5] and the short last block, which stands for its parent, too.
    t.is(binding.nodeCount(doubles(14_000, 2048, 14_000 - 2048)), 3)
    t.is(binding.nodeCount(doubles(14_000, 2048, 5 * 2048)), 3)
    t.is(binding.nodeCount(doubles(14_000, 4096, 0)), 0)
  })

  test('coefficients of hand-made matrices', (t) => {
    const of = (k: number, gram: number[], weights = ones(k), [rule, parameter] = [0, 0]) => [
      ...binding.coefficients(rule, parameter, 0, weights, doubles(...gram), doubles()),
    ]
    t.deepEqual(of(1, [4]), [0, 1, 4, 1])
    t.deepEqual(of(2, [1, 0, 1]), [0, 1, 2, 1, 1])
    t.deepEqual(of(2, [1, 1, 1]), [0, 0.5, 2, 0.5, 0.5])
    t.deepEqual(of(2, [1, 1, 1], doubles(1, 3)), [0, 0.5, 2, 0.75, 0.25])
    t.deepEqual(of(2, [0, 0, 3]), [0, 1, 3, 0, 1])
    t.deepEqual(of(2, [0, 0, 0]), [0, 1, 0, 0, 0])
    // Three equal inputs give that input: the coefficients add up to 1, however they are shared out.
    const [, orthogonality, , ...ofEqual] = of(3, [1, 1, 1, 1, 1, 1])
    t.true(Math.abs(orthogonality! - 1 / 3) < 1e-15)
    t.true(Math.abs(ofEqual.reduce((sum, c) => sum + c, 0) - 1) < 1e-15)
    // Input 1 is absent, and its products mean nothing.
    t.deepEqual(of(3, [1, NaN, 0, NaN, NaN, 1], doubles(1, 0, 1)), [0, 1, 2, 1, 0, 1])
    t.deepEqual(of(2, [1, NaN, 1]), [0, NaN, NaN, NaN, NaN])
    // Products are scaled down before they are multiplied; their sum is told as it is.
    t.deepEqual(of(2, [2 ** 1000, 0, 2 ** 1000]), [0, 1, 2 ** 1001, 1, 1])
    // The first pair cancels exactly: its vector must be measured.
    const opposite = [1, -1, 0, 0, 1, 0, 0, 1, 0, 1]
    t.deepEqual(of(4, opposite), [1, 0, 2, 1.5, 1.5, 0, 0])
    const measured = binding.coefficients(0, 0, 0, ones(4), doubles(...opposite), doubles(0, 2, 0, 0, 0, 0, 0))
    t.deepEqual([...measured], [0, 0.5, 4, 0, 0, 1, 1])
    const { damped, adascale } = PAIR_RULE_CODES
    t.deepEqual(of(2, [1, 1, 1], ones(2), [damped, 0.5]), [0, 1.125, 2, 0.75, 0.75])
    t.deepEqual(of(2, [1, 1, 4], ones(2), [adascale, 1]), [0, 7 / (5 * 2.25), 5, 1 / 1.5, 1 / 1.5])
    t.deepEqual(of(2, [1, -0.5, 1], ones(2), [adascale, 4]), [0, 2, 2, 2, 2])
  })

  test('hasNonFinite finds NaN and infinity, and in f64 a squared norm that overflows', (t) => {
    const f32 = new Float32Array(100).fill(3e38)
    t.false(binding.hasNonFinite(0, bytesOf(f32), doubles(40, 60)))
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const position of [0, 50, 99]) {
        const input = f32.slice()
        input[position] = bad
        t.true(binding.hasNonFinite(0, bytesOf(input), doubles(40, 60)))
      }
    }
    const f64 = new Float64Array(4).fill(1e154)
    t.false(binding.hasNonFinite(1, bytesOf(f64), doubles(1, 1, 1, 1)))
    t.true(binding.hasNonFinite(1, bytesOf(f64), doubles(1, 3)))
  })

  test('combine leaves out inputs with coefficient 0 and stores the canonical NaN', (t) => {
    const inputs = [Float32Array.of(1, 2, 3), new Float32Array(new Uint32Array(3).fill(0xffc12345).buffer)]
    const out = new Float32Array(3)
    binding.combine(0, 0, inputs.map(bytesOf), doubles(1, 1, 1), doubles(2, 0, 1, 1, 0, 0), bytesOf(out))
    t.deepEqual([...new Uint32Array(out.buffer)], [0x40000000, 0x7fc00000, 0])
  })
}

function asynchronousForms(binding: Binding): void {
  test('asynchronous forms give the same bits', async (t) => {
    const inputs = familyOf('near parallel', (n) => new Float32Array(n), { count: 4, length: 100_000, seed: 3 })
    for (const op of OPS) {
      const { args, results } = reduceArguments(binding, op, inputs)
      const expected = reduce(binding, op, inputs)
      t.is(await binding.reduceAsync(...args), undefined)
      t.is(bitsOf(results.out), bitsOf(expected.out))
      if (op === 'adasum') t.deepEqual(results.stats, expected.stats)
    }
    const [bytes, length] = [inputs.map(bytesOf), inputs[0]!.length]
    const both = async <A extends ArrayBufferView>(
      make: () => A,
      run: (a: A) => void,
      later: (a: A) => Promise<void>,
    ) => {
      const [now, then] = [make(), make()]
      run(now)
      await later(then)
      t.is(bitsOf(then), bitsOf(now))
    }
    const pieces = wholePieces(length)
    await both(
      () => new Float64Array(10),
      (nodes) => binding.gram(0, bytes, pieces, nodes),
      (nodes) => binding.gramAsync(0, bytes, pieces, nodes),
    )
    const vectors = doubles(1, -1, 0.5, 0)
    await both(
      () => new Float64Array(5),
      (nodes) => binding.refine(0, bytes, vectors, pieces, nodes),
      (nodes) => binding.refineAsync(0, bytes, vectors, pieces, nodes),
    )
    await both(
      () => new Float32Array(length),
      (out) => binding.combine(0, 0, bytes, doubles(length), vectors, bytesOf(out)),
      (out) => binding.combineAsync(0, 0, bytes, doubles(length), vectors, bytesOf(out)),
    )
    await both(
      () => new Float32Array(length),
      (out) => binding.fold(FOLD_OP_CODES.max, 0, bytes, bytesOf(out)),
      (out) => binding.foldAsync(FOLD_OP_CODES.max, 0, bytes, bytesOf(out)),
    )
  })
}
