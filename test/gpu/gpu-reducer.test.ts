/** GpuReducer through the addon: against the CPU, its arguments, its failures, and what the event loop does meanwhile. */
import { AdasumError } from '../../ts/src/errors.ts'
import { GpuDevice, GpuReducer, adapters, type GpuArray } from '../../ts/src/gpu/index.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import { gpuTest } from './_gpu.ts'

const LENGTH = 10_007
const SEGMENTS = [5000, 1, 0, 3, 5003]

/** Vectors with a common part, the same in every run. */
function vectors(count: number, length = LENGTH, seed = 1): Float32Array[] {
  let state = seed
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
  const common = Float32Array.from({ length }, random)
  return Array.from({ length: count }, () => common.map((x) => x + random()))
}

const bf16 = (array: Float32Array): Uint16Array =>
  Uint16Array.from(new Uint32Array(array.slice().buffer), (bits) => bits >>> 16)

function relativeError(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  let [difference, norm] = [0, 0]
  for (let i = 0; i < theirs.length; i++) {
    difference += (ours[i]! - theirs[i]!) ** 2
    norm += theirs[i]! ** 2
  }
  return Math.sqrt(difference / norm)
}

async function reducerWith(inputs: readonly GpuArray[], dtype: 'f32' | 'bf16' = 'f32'): Promise<GpuReducer> {
  const reducer = await GpuReducer.create({ slots: inputs.length, segments: SEGMENTS, dtype })
  await Promise.all(inputs.map((input, slot) => reducer.write(slot, input)))
  return reducer
}

gpuTest('adapters have names and limits, and one of them is the default', async (t) => {
  const found = await adapters()
  t.is(found.filter(({ isDefault }) => isDefault).length, 1)
  for (const [index, adapter] of found.entries()) {
    t.is(adapter.index, index)
    t.true(adapter.name.length > 0 && adapter.maxBindingBytes >= 1 << 27 && adapter.maxWorkgroups >= 65_535)
  }
})

gpuTest('every operator, against the CPU', async (t) => {
  const inputs = vectors(5)
  const reducer = await reducerWith(inputs)
  const options = { segments: SEGMENTS, coefficients: true }
  for (const [op, cpu] of [
    ['adasum', adasumSync(inputs, options)],
    ['sum', sumSync(inputs, options)],
    ['average', averageSync(inputs, options)],
  ] as const) {
    const record = await reducer.reduce(op)
    t.true(relativeError(await reducer.read(new Float32Array(LENGTH)), cpu.result) < 6e-8, op)
    t.is(record.orthogonality.length, op === 'adasum' ? SEGMENTS.length : 0)
  }
  await reducer.close()
})

gpuTest('bf16, into bf16 and into f32', async (t) => {
  const inputs = vectors(3).map(bf16)
  const reducer = await reducerWith(inputs, 'bf16')
  await reducer.reduce('adasum')
  const same = await reducer.read(new Uint16Array(LENGTH))
  t.deepEqual(same, adasumSync(inputs, { segments: SEGMENTS, dtype: 'bf16' }).result)
  await reducer.reduce('adasum', { result: 'f32' })
  const wide = await reducer.read(new Float32Array(LENGTH))
  const cpu = adasumSync(inputs, { segments: SEGMENTS, dtype: 'bf16', out: new Float32Array(LENGTH) }).result
  t.true(relativeError(wide, cpu) < 6e-8)
  await t.throwsAsync(reducer.read(new Uint16Array(LENGTH)), { code: 'ERR_ARGUMENT' })
  await reducer.close()
})

gpuTest('micro-batches are accumulated', async (t) => {
  const [a, b, c] = vectors(3) as [Float32Array, Float32Array, Float32Array]
  const reducer = await reducerWith([a, b])
  await reducer.accumulate(1, c)
  await reducer.reduce('adasum')
  const summed = b.map((x, i) => x + c[i]!)
  const cpu = adasumSync([a, summed], { segments: SEGMENTS }).result
  t.true(relativeError(await reducer.read(new Float32Array(LENGTH)), cpu) < 6e-8)
  await reducer.close()
})

gpuTest('calls that are not awaited are done in order', async (t) => {
  const [a, b] = vectors(2) as [Float32Array, Float32Array]
  const reducer = await reducerWith([a, a])
  const out = new Float32Array(LENGTH)
  const calls = [reducer.write(1, b), reducer.reduce('sum'), reducer.read(out), reducer.close()]
  await Promise.all(calls)
  t.true(relativeError(out, sumSync([a, b]).result) < 6e-8)
  await t.throwsAsync(reducer.reduce('sum'), { code: 'ERR_ARGUMENT', message: /released/ })
})

gpuTest('two reducers interleaved on one device', async (t) => {
  const device = await GpuDevice.open()
  const sets = [vectors(4, 3000, 7), vectors(2, 3000, 8)]
  const reducers = await Promise.all(
    sets.map((inputs) => GpuReducer.create({ device, slots: inputs.length, segments: 3000 })),
  )
  await Promise.all(
    reducers.map(async (reducer, index) => {
      for (let turn = 0; turn < 5; turn++) {
        for (const [slot, input] of sets[index]!.entries()) await reducer.write(slot, input)
        await reducer.reduce('adasum')
        const result = await reducer.read(new Float32Array(3000))
        t.true(relativeError(result, adasumSync(sets[index]!).result) < 6e-8)
      }
    }),
  )
  await Promise.all(reducers.map((reducer) => reducer.close()))
})

gpuTest('arguments that do not fit', async (t) => {
  const refused = async (call: Promise<unknown>, message: RegExp, code = 'ERR_ARGUMENT'): Promise<void> => {
    await t.throwsAsync(call, { instanceOf: AdasumError, code, message })
  }
  await refused(GpuReducer.create({ slots: 0, segments: 4 }), /slots is 0/)
  await refused(GpuReducer.create({ slots: 17, segments: 4 }), /17 slots/, 'ERR_UNSUPPORTED')
  await refused(GpuReducer.create({ slots: 2, segments: 0 }), /0 elements/)
  await refused(GpuReducer.create({ slots: 2, segments: [1, -1] }), /segments\[1\] is -1/)
  await refused(GpuReducer.create({ slots: 2, segments: 4, dtype: 'f64' as 'f32' }), /dtype is f64/)
  await refused(GpuReducer.create({ slots: 2, segments: 4, slot: 2 } as never), /no option "slot"/)
  await refused(GpuDevice.open({ adapter: 99 }), /no adapter 99/)
  await refused(GpuDevice.open({ adapter: -1 }), /adapter is -1/)
  const reducer = await GpuReducer.create({ slots: 2, segments: 4 })
  await refused(reducer.read(new Float32Array(4)), /0 reductions/)
  await refused(reducer.write(2, new Float32Array(4)), /slot is 2/)
  await refused(reducer.write(0, new Float32Array(5)), /has 5 elements, a slot has 4/)
  await refused(reducer.write(0, new Float64Array(4) as never), /is f64, f32 or f32 is needed|is f64, f32 is needed/)
  await refused(reducer.write(0, new Float32Array(new SharedArrayBuffer(16))), /SharedArrayBuffer/)
  await refused(reducer.reduce('max' as 'sum'), /op is max/)
  await refused(reducer.reduce('sum', { onNonFinite: 'ignore' as 'skip' }), /onNonFinite is ignore/)
  await refused(reducer.reduce('sum', { out: 1 } as never), /no option "out"/)
  await reducer.close()
})

gpuTest('an array that is transferred away before its turn', async (t) => {
  const reducer = await GpuReducer.create({ slots: 1, segments: 4 })
  const array = new Float32Array(4)
  const call = reducer.write(0, array)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  await t.throwsAsync(call, { code: 'ERR_ARGUMENT' })
  await reducer.close()
})

gpuTest('inputs that are not finite', async (t) => {
  const inputs = vectors(3)
  inputs[1]![17] = NaN
  const reducer = await reducerWith(inputs)
  await t.throwsAsync(reducer.reduce('adasum'), { code: 'ERR_NON_FINITE', message: /slot 1/ })
  const record = await reducer.reduce('adasum', { onNonFinite: 'skip' })
  t.deepEqual(record.nonFinite, [1])
  const cpu = adasumSync([inputs[0]!, inputs[2]!], { segments: SEGMENTS }).result
  t.true(relativeError(await reducer.read(new Float32Array(LENGTH)), cpu) < 6e-8)
  await reducer.close()
})

gpuTest('a device that is lost, and one with too little memory', async (t) => {
  const device = await GpuDevice.open({ memoryLimitBytes: 1 << 20 })
  await t.throwsAsync(GpuReducer.create({ device, slots: 4, segments: 1 << 20 }), { code: 'ERR_OUT_OF_MEMORY' })
  const reducer = await GpuReducer.create({ device, slots: 2, segments: 4 })
  await reducer.reduce('sum')
  device.destroy()
  await t.throwsAsync(reducer.reduce('sum'), { code: 'ERR_DEVICE_LOST' })
  await t.throwsAsync(reducer.write(0, new Float32Array(4)), { code: 'ERR_DEVICE_LOST' })
  await t.throwsAsync(GpuReducer.create({ device, slots: 2, segments: 4 }), { code: 'ERR_DEVICE_LOST' })
  await reducer.close()
})

gpuTest('the event loop turns while vectors are copied and combined', async (t) => {
  const length = 4 << 20
  const inputs = vectors(2, length)
  const reducer = await GpuReducer.create({ slots: 2, segments: length })
  let [longestMs, last] = [0, performance.now()]
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - last)
    last = performance.now()
  }, 1)
  for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
  await reducer.reduce('adasum')
  await reducer.read(new Float32Array(length))
  clearInterval(timer)
  // A single copy of 16 MiB in pieces of 2, beside a renderer that takes all cores: far from the time of the whole.
  t.true(longestMs < 500, `${longestMs} ms`)
  await reducer.close()
})
