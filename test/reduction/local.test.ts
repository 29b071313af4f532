/** The local functions against the definition, and against themselves: one call or many, waited for or not. */
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import test from 'ava'
import { DTYPE_CODES, OP_CODES } from '../../ts/src/binding/binding.ts'
import { loadBinding } from '#binding'
import { AdasumError } from '../../ts/src/errors.ts'
import { chunkElementCount } from '../../ts/src/kernels/slice.ts'
import {
  type LocalOptions,
  adasum,
  adasumSync,
  average,
  averageSync,
  sum,
  sumSync,
} from '../../ts/src/reduction/local.ts'
import type { FloatArray, ReduceOp } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf } from '../_world.ts'
import { FAMILIES, familyOf, oracle, relativeError } from './_oracle.ts'

const ASYNC = { sum, average, adasum }
const SYNC = { sum: sumSync, average: averageSync, adasum: adasumSync }
const OPS: ReduceOp[] = ['sum', 'average', 'adasum']

const f32 = (length: number): Float32Array => new Float32Array(length)
const f64 = (length: number): Float64Array => new Float64Array(length)
const DTYPES: Record<'f32' | 'f64', (length: number) => FloatArray> = { f32, f64 }

// Rounding to the dtype, and what the family loses by cancellation.
const TOLERANCES: Record<'f32' | 'f64', Record<'usual' | 'cancelling', number>> = {
  f32: { usual: 2 ** -23, cancelling: 1e-6 },
  f64: { usual: 1e-11, cancelling: 1e-8 },
}

for (const dtype of ['f32', 'f64'] as const) {
  for (const family of Object.keys(FAMILIES)) {
    test(`${dtype}, ${family}: 1 to 9 inputs agree with the pairwise recursion`, (t) => {
      const cancelling = family.includes('1e-4 noise')
      const tolerance = TOLERANCES[dtype][cancelling ? 'cancelling' : 'usual']
      for (let count = 1; count <= 9; count++) {
        for (const length of [cancelling ? 3 : 1, 7, 8, 257, 2047, 2048, 2049, 5001]) {
          const inputs = familyOf(family, DTYPES[dtype], { count, length, seed: count * 10_000 + length })
          const segments = length > 4 ? [1, 0, Math.floor(length / 3), 0] : [length, 0]
          segments[segments.length - 1] = length - segments.reduce((a, b) => a + b)
          // A single element cancels in a family that cancels, and then its digits are noise.
          if (cancelling) segments.splice(0, 2, 0, segments[0]! + segments[1]!)
          if (cancelling && length > 4) [segments[1], segments[3]] = [0, segments[3]! + segments[1]!]
          for (const op of OPS) {
            for (const cut of [undefined, segments]) {
              const got = SYNC[op](inputs, cut && { segments: cut }).result
              const error = relativeError(got, oracle(op, inputs, cut), cut)
              t.true(error <= tolerance, `${op}, ${count} x ${length}, segments ${cut?.join()}: error ${error}`)
            }
          }
        }
      }
    })
  }
}

test('sums and averages round once: cancelling inputs leave what f64 leaves', (t) => {
  const inputs = [f32(1).fill(1e8), f32(1).fill(1), f32(1).fill(-1e8)]
  t.is(sumSync(inputs).result[0], 1)
  t.is(averageSync(inputs).result[0], Math.fround(1 / 3))
})

const anyArrays = fc.record({
  op: fc.constantFrom(...OPS),
  dtype: fc.constantFrom('f32' as const, 'f64' as const),
  family: fc.constantFrom(...Object.keys(FAMILIES)),
  count: fc.integer({ min: 1, max: 16 }),
  segments: fc.array(fc.oneof(fc.constantFrom(0, 1, 2047, 2048, 2049, 4096), fc.nat(9000)), {
    minLength: 1,
    maxLength: 6,
  }),
  seed: fc.nat(1e6),
})

test('synchronous and asynchronous forms give the same bits, reports and leave the inputs alone', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyArrays, fc.boolean(), async ({ op, dtype, family, count, segments, seed }, withOut) => {
      const length = segments.reduce((a, b) => a + b, 0)
      fc.pre(length > 0)
      const inputs = familyOf(family, DTYPES[dtype], { count, length, seed })
      const before = inputs.map(bitsOf)
      const out = withOut ? DTYPES[dtype](length).fill(7) : undefined
      const options: LocalOptions = { segments, coefficients: true, ...(out && { out }) }
      const want = SYNC[op](inputs, { segments, coefficients: true })
      const got = await ASYNC[op](inputs, options)
      if (out && got.result !== out) return false
      t.deepEqual(got.segments, want.segments)
      return bitsOf(got.result) === bitsOf(want.result) && before.every((bits, i) => bits === bitsOf(inputs[i]!))
    }),
    { numRuns: runsOf(60) },
  )
})

for (const dtype of ['f32', 'f64'] as const) {
  for (const count of [2, 3, 9]) {
    test(`${dtype}, ${count} inputs: a segment taken in several pieces gives the bits of one taken whole`, async (t) => {
      const chunk = chunkElementCount(DTYPES[dtype](1).BYTES_PER_ELEMENT, count)
      for (const [family, length] of [
        ['independent', 3 * chunk],
        ['alternating sign, 1e-4 noise', 2 * chunk + 777],
        ['alternating sign, 10 % noise', chunk + 1],
      ] as const) {
        const inputs = familyOf(family, DTYPES[dtype], { count, length, seed: count })
        const whole = inOnePiece(dtype, inputs)
        for (const got of [adasumSync(inputs, { coefficients: true }), await adasum(inputs, { coefficients: true })]) {
          t.is(bitsOf(got.result), bitsOf(whole.result), `${family}, ${length}`)
          t.deepEqual([got.segments[0]!.orthogonality, ...got.segments[0]!.coefficients!], whole.statistics)
        }
      }
    })
  }
}

/** The binding's own path for a segment that is not cut anywhere. */
function inOnePiece(dtype: 'f32' | 'f64', inputs: FloatArray[]): { result: FloatArray; statistics: number[] } {
  const length = inputs[0]!.length
  const result = DTYPES[dtype](length)
  const [bytes, ...parts] = [result, ...inputs].map((array) => new Uint8Array(array.buffer))
  const statistics = new Float64Array(2 + inputs.length)
  const weights = new Float64Array(inputs.length).fill(1)
  const [pieces, nodes] = [Float64Array.of(length, 0, length), new Float64Array(0)]
  loadBinding().reduce(
    OP_CODES.adasum,
    DTYPE_CODES[dtype],
    DTYPE_CODES[dtype],
    parts,
    weights,
    pieces,
    bytes!,
    nodes,
    statistics,
  )
  return { result, statistics: [statistics[0]!, ...statistics.subarray(2)] }
}

test('orthogonality is 1 for disjoint supports, 1/n for identical inputs, and told by segment', (t) => {
  const [a, b] = [Float32Array.of(1, 2, 0, 0, 5, 5), Float32Array.of(0, 0, 3, 4, 5, 5)]
  const { result, segments } = adasumSync([a, b], { segments: [4, 0, 2], coefficients: true })
  t.deepEqual([...result], [1, 2, 3, 4, 5, 5])
  t.deepEqual(segments, [
    { name: '0', elementCount: 4, orthogonality: 1, coefficients: [1, 1] },
    { name: '1', elementCount: 0, orthogonality: 1, coefficients: [0, 0] },
    { name: '2', elementCount: 2, orthogonality: 0.5, coefficients: [0.5, 0.5] },
  ])
})

test('only adasum reports orthogonality, and coefficients only on request', (t) => {
  const inputs = [f32(3).fill(1), f32(3).fill(2)]
  t.deepEqual(sumSync(inputs, { coefficients: true }).segments, [{ name: '0', elementCount: 3 }])
  t.deepEqual(Object.keys(adasumSync(inputs).segments[0]!), ['name', 'elementCount', 'orthogonality'])
})

test.serial('the list may change as soon as the call has been made: its arrays at that moment count', async (t) => {
  const inputs = [f32(4_000_000).fill(1), f32(4_000_000).fill(3)]
  const want = adasumSync(inputs, { coefficients: true })
  const pending = adasum(inputs, { coefficients: true })
  inputs.length = 0
  const got = await pending
  t.deepEqual(got.segments, want.segments)
  t.is(bitsOf(got.result), bitsOf(want.result))
})

// ---- NaN and infinity

const BAD: Record<string, number> = { NaN: NaN, infinity: Infinity, 'minus infinity': -Infinity }

for (const dtype of ['f32', 'f64'] as const) {
  test(`${dtype}: policies for inputs that are not finite`, async (t) => {
    const overflowing: Record<string, number> = dtype === 'f64' ? { 'a norm that overflows': 1e200 } : {}
    for (const [what, value] of Object.entries({ ...BAD, ...overflowing })) {
      for (const length of [1, 5, 4097]) {
        const good = familyOf('independent', DTYPES[dtype], { count: 3, length, seed: length })
        const bad = good[1]!.slice()
        bad[length - 1] = value
        const inputs = [good[0]!, bad, good[2]!]
        const before = inputs.map(bitsOf)
        for (const op of OPS) {
          const options = { coefficients: true } as const
          const expected = { instanceOf: AdasumError, code: 'ERR_NON_FINITE', message: /1 of 3 inputs .*inputs\[1\]/ }
          const out = DTYPES[dtype](length).fill(7)
          t.throws(() => SYNC[op](inputs, { onNonFinite: 'throw', out }), expected, `${what}, ${op}`)
          await t.throwsAsync(ASYNC[op](inputs, { onNonFinite: 'throw', out }), expected)
          t.true(out.every((x) => x === 7))
          const skipped = await ASYNC[op](inputs, { ...options, onNonFinite: 'skip' })
          const present = [good[0]!, good[2]!]
          // The tree is over all inputs, so only its shape differs where one is left out; here it does not.
          t.is(bitsOf(skipped.result), bitsOf(SYNC[op](present).result), `${what}, ${op}, ${length}`)
          t.deepEqual(skipped.nonFiniteRanks, [1])
          if (op === 'adasum') t.is(skipped.segments[0]!.coefficients![1], 0)
          const propagated = await ASYNC[op](inputs, { ...options, onNonFinite: 'propagate' })
          t.deepEqual(propagated.nonFiniteRanks, [])
          if (value !== 1e200) t.false(Number.isFinite(propagated.result[length - 1]), `${what}, ${op}`)
          t.is(bitsOf(propagated.result), bitsOf(SYNC[op](inputs, { onNonFinite: 'propagate' }).result))
        }
        t.throws(() => adasumSync(inputs), { code: 'ERR_NON_FINITE' })
        t.notThrows(() => [sumSync(inputs), averageSync(inputs)])
        t.deepEqual(before, inputs.map(bitsOf))
      }
    }
  })
}

test('if all inputs are left out, the result is zero, and the report says so', async (t) => {
  const inputs = [Float32Array.of(NaN, 1), Float32Array.of(2, -Infinity)]
  for (const got of [adasumSync(inputs, { onNonFinite: 'skip' }), await average(inputs, { onNonFinite: 'skip' })]) {
    t.deepEqual([...got.result], [0, 0])
    t.deepEqual(got.nonFiniteRanks, [0, 1])
  }
})

test('NaN spoils only its own segment, and every NaN is the canonical one', (t) => {
  const odd = new Float32Array(Uint32Array.of(0xffc12345, 0, 0x3f800000).buffer)
  const { result } = adasumSync([odd, Float32Array.of(1, 1, 1)], { segments: [1, 2], onNonFinite: 'propagate' })
  t.is(new Uint32Array(result.buffer)[0], 0x7fc00000)
  t.true(Number.isFinite(result[1]) && Number.isFinite(result[2]))
})

// ---- the event loop

test.serial('a large call lets the event loop turn', async (t) => {
  for (const dtype of ['f32', 'f64'] as const) {
    const length = dtype === 'f32' ? 8 << 20 : 4 << 20
    const inputs = Array.from({ length: 4 }, () => DTYPES[dtype](length).fill(1))
    for (const onNonFinite of ['propagate', 'throw'] as const) {
      const turns = await turnsOf(adasum(inputs, { onNonFinite }))
      t.true(turns > 1, `${dtype}, ${onNonFinite}: ${turns} turns`)
    }
  }
})

test.serial('so does the scan of one large f64 array that turns out not to be finite', async (t) => {
  const input = f64(8 << 20).fill(1)
  input[input.length - 1] = NaN
  const turns = await turnsOf(t.throwsAsync(adasum([input]), { code: 'ERR_NON_FINITE' }))
  t.true(turns > 1, `${turns} turns`)
})

async function turnsOf(promise: Promise<unknown>): Promise<number> {
  let [turns, isOver] = [0, false]
  const over = promise.finally(() => (isOver = true))
  while (!isOver) {
    await nextTurn()
    turns++
  }
  await over
  return turns
}

test('a large f64 scan finds what a whole one finds: one bad element anywhere, or a norm that overflows as a sum', async (t) => {
  const length = (5 << 20) + 3
  const segments = [1, 0, 3 << 20, length - 1 - (3 << 20)]
  const input = f64(length).fill(1)
  for (const [at, value] of [
    [0, NaN],
    [1, Infinity],
    [(3 << 20) + 5, -Infinity],
    [length - 1, NaN],
  ] as const) {
    input[at] = value
    await t.throwsAsync(adasum([input], { segments }), { code: 'ERR_NON_FINITE' }, `element ${at}`)
    input[at] = 1
  }
  await t.notThrowsAsync(adasum([input], { segments }))
  // Squares of which 2^21, as many as a step takes, stay within the range, and 3 x 2^20 leave it.
  input.subarray(1, 1 + (3 << 20)).fill(8.5e150)
  await t.throwsAsync(adasum([input], { segments }), { code: 'ERR_NON_FINITE' })
  t.throws(() => adasumSync([input], { segments }), { code: 'ERR_NON_FINITE' })
})

const LARGE = 6 << 20

for (const which of ['an input', 'out'] as const) {
  test(`${which} transferred away in mid-call is a typed error`, async (t) => {
    for (const onNonFinite of ['throw', 'propagate'] as const) {
      const inputs = [f32(LARGE).fill(1), f32(LARGE).fill(2)]
      const out = f32(LARGE)
      // Each several times, so that there is enough to do on any machine.
      const many = Array.from({ length: 8 }, () => inputs).flat()
      const pending = adasum(many, { out, onNonFinite })
      await nextTurn()
      const buffer = (which === 'out' ? out : inputs[1]!).buffer as ArrayBuffer
      const copy = structuredClone(buffer, { transfer: [buffer] })
      await t.throwsAsync(pending, { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message: /transferred away/ })
      t.is(copy.byteLength, LARGE * 4)
      t.is(inputs[0]!.length, LARGE)
    }
  })
}

test('an input transferred away before the first turn of the loop is a typed error, too', async (t) => {
  for (const length of [100, 1 << 20]) {
    const inputs = [f32(length).fill(1), f32(length).fill(2)]
    const pending = adasum(inputs)
    const buffer = inputs[0]!.buffer as ArrayBuffer
    structuredClone(buffer, { transfer: [buffer] })
    await t.throwsAsync(pending, { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message: /transferred away/ })
  }
})

test('many calls side by side do not disturb each other', async (t) => {
  const inputs = Array.from({ length: 20 }, (_, i) =>
    familyOf('independent', f32, { count: 3, length: 200_000, seed: i }),
  )
  const wanted = inputs.map((list) => bitsOf(adasumSync(list).result))
  const got = await Promise.all(inputs.map((list) => adasum(list)))
  t.deepEqual(
    got.map(({ result }) => bitsOf(result)),
    wanted,
  )
})

test('a result may be posted to another thread at once', async (t) => {
  const { result } = await adasum([f32(1000).fill(1), f32(1000).fill(1)])
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(result, [result.buffer as ArrayBuffer])
  const [received] = (await once(port2, 'message')) as [Float32Array]
  port1.close()
  t.true(received.every((x) => x === 1))
})
