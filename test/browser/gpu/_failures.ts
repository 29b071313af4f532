/** Bad arguments, bad inputs, too little memory, a device that goes, several at once: typed errors, and nothing worse. */
import test from 'ava'
import { AdasumError } from '../../../ts/src/errors.ts'
import { BufferReducer, GpuDevice, GpuReducer, adapters } from '../../../ts/src/gpu/index.ts'
import { adasum } from '../../../ts/src/reduction/local.ts'
import { USAGE, type WebGpuDevice } from '../../../ts/src/gpu/web/webgpu.ts'
import { type Vector, inputsOf, relativeError, tolerance, widened } from './_inputs.ts'
import { emptyVector, onCpu } from './_numerics.ts'
import { buffersOf, complaints, emptyBuffers, pageDevice, readBuffers } from './_page.ts'

const NAN = { f32: NaN, f16: 0x7e00, bf16: 0x7fc0 } as const
const INFINITY = { f32: -Infinity, f16: 0xfc00, bf16: 0xff80 } as const
const SEGMENTS = [300, 300, 300]

export function failures(page: WebGpuDevice, device: GpuDevice): void {
  test('inputs that are not finite: refused, left out, or computed on', async (t) => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const)
      for (const poison of [NAN[dtype], INFINITY[dtype]]) {
        const inputs = inputsOf('large common part', dtype, 3, 900, 1)
        inputs[1]![450] = poison
        const reducer = await GpuReducer.create({ device, slots: 3, segments: SEGMENTS, dtype })
        for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
        await t.throwsAsync(() => reducer.reduce('adasum'), { code: 'ERR_NON_FINITE', message: /slot 1/ })
        t.deepEqual((await reducer.reduce('adasum', { onNonFinite: 'skip' })).nonFinite, [1])
        const cpu = onCpu([inputs[0]!, inputs[2]!], dtype, dtype, SEGMENTS).result
        const skipped = await reducer.read(emptyVector(dtype, 900))
        t.true(relativeError(dtype, skipped, cpu) <= tolerance('large common part', dtype), dtype)
        const { orthogonality } = await reducer.reduce('adasum', { onNonFinite: 'propagate' })
        t.deepEqual([...orthogonality].map(Number.isNaN), [false, true, false])
        const numbers = widened(dtype, await reducer.read(emptyVector(dtype, 900)))
        t.true(
          numbers.every((x, at) => Number.isNaN(x) === (at >= 300 && at < 600)),
          dtype,
        )
        await reducer.close()
      }
  })

  test('the same in buffers of the page, long and short', async (t) => {
    for (const inPlaceBytes of [0, Infinity]) {
      const inputs = inputsOf('large common part', 'f16', 3, 900, 1)
      inputs[2]![899] = INFINITY.f16
      const reducer = await BufferReducer.create({ device, inputs: 3, segments: SEGMENTS, dtype: 'f16', inPlaceBytes })
      const lists = inputs.map((input) => buffersOf(page, input, SEGMENTS))
      const out = emptyBuffers(page, 'f16', SEGMENTS)
      await t.throwsAsync(() => reducer.reduce('adasum', lists, out), { code: 'ERR_NON_FINITE', message: /slot 2/ })
      t.true(
        (await readBuffers(page, 'f16', out, SEGMENTS)).every((bits) => bits === 0),
        'nothing is written',
      )
      t.deepEqual((await reducer.reduce('adasum', lists, out, { onNonFinite: 'skip' })).nonFinite, [2])
      const cpu = onCpu(inputs.slice(0, 2), 'f16', 'f16', SEGMENTS).result
      t.true(relativeError('f16', await readBuffers(page, 'f16', out, SEGMENTS), cpu) <= 0.5 ** 11)
      await reducer.close()
    }
  })

  test('if no input is finite the result is zero', async (t) => {
    const inputs = [Float32Array.of(1, Infinity, 3), Float32Array.of(-Infinity, 2, 2)]
    const reducer = await GpuReducer.create({ device, slots: 2, segments: 3 })
    for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
    t.deepEqual((await reducer.reduce('adasum', { onNonFinite: 'skip' })).nonFinite, [0, 1])
    t.deepEqual(await reducer.read(new Float32Array(3).fill(7)), new Float32Array(3))
    await reducer.close()
  })

  test('arguments that do not fit', async (t) => {
    const refused = (call: () => Promise<unknown>, message: RegExp, code = 'ERR_ARGUMENT'): Promise<unknown> =>
      t.throwsAsync(call, { instanceOf: AdasumError, code, message })
    await refused(() => GpuReducer.create({ device, slots: 17, segments: 4 }), /17 slots/, 'ERR_UNSUPPORTED')
    await refused(() => BufferReducer.create({ device, inputs: 17, segments: [4] }), /17 slots/, 'ERR_UNSUPPORTED')
    await refused(() => GpuDevice.open({ adapter: 1 }), /no adapter 1/)
    await refused(() => GpuDevice.from({} as never), /must be a GPUDevice/)
    await refused(() => GpuDevice.from(page, { adapter: 0 } as never), /no option "adapter"/)
    const reducer = await GpuReducer.create({ device, slots: 2, segments: 4 })
    await refused(() => reducer.read(new Float32Array(4)), /0 reductions/)
    await refused(() => reducer.readInto(emptyBuffers(page, 'f32', [4])), /0 reductions/)
    await refused(() => reducer.write(2, new Float32Array(4)), /slot is 2/)
    await refused(() => reducer.writeBuffers(2, emptyBuffers(page, 'f32', [4])), /slot is 2/)
    await refused(() => reducer.write(0, new Float32Array(5)), /has 5 elements, a slot has 4/)
    const [first, second] = [reducer.close(), reducer.reduce('sum')]
    await first
    await refused(() => second, /released/)
  })

  test('two reducers interleaved, with calls of the page in between', async (t) => {
    const sets = [inputsOf('large common part', 'f32', 4, 3000, 7), inputsOf('near parallel', 'f32', 2, 3000, 8)]
    const work = sets.map(async (inputs) => {
      const reducer = await GpuReducer.create({ device, slots: inputs.length, segments: 3000 })
      for (let turn = 0; turn < 5; turn++) {
        for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
        await reducer.reduce('adasum')
        const result = await reducer.read(new Float32Array(3000))
        t.true(relativeError('f32', result, onCpu(inputs, 'f32', 'f32', [3000]).result) < 6e-8)
      }
      await reducer.close()
    })
    const errors = (async () => {
      let count = 0
      for (let turn = 0; turn < 20; turn++) {
        // An error of the page's own, that must reach the page and nobody else.
        page.pushErrorScope('validation')
        page.createBuffer({ size: 16, usage: USAGE.mapRead | USAGE.storage })
        count += (await page.popErrorScope()) === null ? 0 : 1
      }
      return count
    })()
    await Promise.all(work)
    t.is(await errors, 20)
  })

  test('too little memory leaves the device as it was', async (t) => {
    const small = await GpuDevice.from(page, { memoryLimitBytes: 1 << 20 })
    const create = (): Promise<GpuReducer> => GpuReducer.create({ device: small, slots: 4, segments: 1 << 20 })
    await t.throwsAsync(create, { code: 'ERR_OUT_OF_MEMORY', message: /20971520.*1048576/ })
    const reducer = await GpuReducer.create({ device: small, slots: 4, segments: 1 << 10 })
    await reducer.reduce('adasum')
    await reducer.close()
  })

  test('a device that we let go lives on; one that the page destroys is lost, in the middle of a call too', async (t) => {
    const own = await pageDevice()
    const ours = await GpuDevice.from(own)
    ours.destroy()
    await t.throwsAsync(() => GpuReducer.create({ device: ours, slots: 2, segments: 4 }), { code: 'ERR_DEVICE_LOST' })
    const again = await GpuDevice.from(own)
    const inputs = inputsOf('independent', 'f32', 2, 50)
    const reducer = await GpuReducer.create({ device: again, slots: 2, segments: 50 })
    for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
    const cut = reducer.reduce('adasum')
    own.destroy()
    await t.throwsAsync(() => cut, { instanceOf: AdasumError, code: 'ERR_DEVICE_LOST' })
    await t.throwsAsync(() => reducer.reduce('adasum'), { code: 'ERR_DEVICE_LOST' })
    await t.throwsAsync(() => reducer.write(0, inputs[0]!), { code: 'ERR_DEVICE_LOST' })
    await t.throwsAsync(() => GpuDevice.from(own), { code: 'ERR_DEVICE_LOST' })
    await reducer.close()
  })

  test('backend gpu and auto of the local functions', async (t) => {
    const inputs = inputsOf('large common part', 'f32', 3, 5000) as Float32Array<ArrayBuffer>[]
    const options = { segments: [4000, 1000], coefficients: true }
    const cpu = await adasum(inputs, options)
    const found = await adasum(inputs, { ...options, backend: 'gpu' })
    t.true(relativeError('f32', found.result, cpu.result) < 6e-8)
    t.is(found.segments.length, 2)
    // The adapter here is a software renderer, which `auto` does not take.
    t.deepEqual((await adasum(inputs, { ...options, backend: 'auto' })).result, cpu.result)
    await t.throwsAsync(() => adasum([new Float64Array(4)], { backend: 'gpu' }), { code: 'ERR_UNSUPPORTED' })
  })

  test('the adapter has a name and limits', async (t) => {
    const found = await adapters()
    t.is(found.length, 1)
    const { name, kind, backend, maxBindingBytes, isDefault } = found[0]!
    t.true(name.includes('swiftshader') && kind === 'cpu' && backend === 'webgpu' && isDefault, name)
    t.true(maxBindingBytes >= 1 << 27)
    t.regex(device.arithmetic, /^(guarded )?(fused|split)(, by subgroups)?$/)
  })

  test('nothing has been said that nobody caught', async (t) => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    t.deepEqual(complaints, [])
  })
}

export type { Vector }
