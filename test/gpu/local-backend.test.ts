/** The local functions' option `backend`. */
import test from 'ava'
import { GpuDevice, sharedDevice } from '../../ts/src/gpu/device.ts'
import { adasum, adasumSync, average, sum } from '../../ts/src/reduction/local.ts'
import { gpuTest, gpuTestAlone } from './_gpu.ts'

const inputs = [1, 2, 3].map((seed) => Float32Array.from({ length: 999 }, (_, i) => Math.sin(seed * 100 + i) + 1))
const OPTIONS = { segments: [500, 0, 499], coefficients: true }

function closeTo(ours: Float32Array, theirs: Float32Array): boolean {
  return ours.every((x, i) => Math.abs(x - theirs[i]!) <= 2 ** -22 * Math.abs(theirs[i]!) + 1e-7)
}

test('the synchronous functions cannot wait for a GPU', (t) => {
  t.throws(() => adasumSync(inputs, { backend: 'gpu' }), { code: 'ERR_UNSUPPORTED', message: /adasumSync cannot/ })
  t.deepEqual(adasumSync(inputs, { backend: 'auto' }).result, adasumSync(inputs).result)
})

test('auto gives a result whatever there is', async (t) => {
  const { result } = await adasum(inputs, { ...OPTIONS, backend: 'auto' })
  t.true(closeTo(result, adasumSync(inputs, OPTIONS).result))
  const doubles = [Float64Array.of(1, 0), Float64Array.of(0, 1)]
  t.deepEqual((await adasum(doubles, { backend: 'auto' })).result, Float64Array.of(1, 1))
})

gpuTest('what a GPU cannot do is told', async (t) => {
  const expected = { code: 'ERR_UNSUPPORTED', message: /Use backend 'cpu'/ }
  await t.throwsAsync(adasum([Float64Array.of(1)], { backend: 'gpu' }), expected)
  await t.throwsAsync(adasum(new Array<Float32Array>(17).fill(inputs[0]!), { backend: 'gpu' }), expected)
})

gpuTest('the same reductions as on the CPU', async (t) => {
  for (const call of [adasum, sum, average]) {
    const [ours, cpu] = await Promise.all([call(inputs, { ...OPTIONS, backend: 'gpu' }), call(inputs, OPTIONS)])
    t.true(closeTo(ours.result, cpu.result))
    t.is(ours.segments.length, 3)
    for (const [index, segment] of ours.segments.entries()) {
      const { orthogonality, coefficients = [], ...rest } = segment
      const { orthogonality: theirs, coefficients: wanted = [], ...others } = cpu.segments[index]!
      t.deepEqual(rest, others)
      t.is(orthogonality === undefined, theirs === undefined)
      t.true(Math.abs((orthogonality ?? 0) - (theirs ?? 0)) < 1e-9)
      t.is(coefficients.length, wanted.length)
      t.true(coefficients.every((c, i) => Math.abs(c - wanted[i]!) < 1e-9))
    }
  }
})

gpuTest('inputs that are not finite are named as on the CPU', async (t) => {
  const spoilt = inputs.map((input) => input.slice())
  spoilt[2]![0] = Infinity
  const out = new Float32Array(999).fill(7)
  const options = { ...OPTIONS, backend: 'gpu', out } as const
  const expected = await t.throwsAsync(adasum(spoilt, OPTIONS))
  await t.throwsAsync(adasum(spoilt, options), { code: 'ERR_NON_FINITE', message: expected.message })
  t.true(out.every((x) => x === 7))
  const skipped = await adasum(spoilt, { ...options, onNonFinite: 'skip' })
  t.deepEqual(skipped.nonFiniteRanks, [2])
  t.true(closeTo(skipped.result, adasumSync(spoilt.slice(0, 2), OPTIONS).result))
})

gpuTestAlone('after a lost device the next call opens another', async (t) => {
  const device = await sharedDevice()
  t.true(device instanceof GpuDevice)
  device.destroy()
  await t.throwsAsync(adasum(inputs, { backend: 'gpu' }), { code: 'ERR_DEVICE_LOST' })
  const { result } = await adasum(inputs, { ...OPTIONS, backend: 'gpu' })
  t.true(closeTo(result, adasumSync(inputs, OPTIONS).result))
})
