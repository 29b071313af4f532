/** Results against those of the CPU, by slots, in every family, dtype and number of inputs. */
import test from 'ava'
import { GpuDevice, GpuReducer, type ReductionRecord } from '../../../ts/src/gpu/index.ts'
import { loadGpuBinding } from '../../../ts/src/gpu/web/load.ts'
import { adasumSync, averageSync, sumSync } from '../../../ts/src/reduction/local.ts'
import type { Reduction } from '../../../ts/src/types.ts'
import {
  type Dtype,
  FAMILY_NAMES,
  type FamilyName,
  type Vector,
  inputsOf,
  relativeError,
  tolerance,
} from './_inputs.ts'
import { pageDevice } from './_page.ts'

const CASES: readonly (readonly [inputs: Dtype, result: Dtype, length: number])[] = [
  ['f32', 'f32', 4099],
  ['f16', 'f32', 1030],
  ['bf16', 'f32', 1030],
  ['f16', 'f16', 517],
  ['bf16', 'bf16', 517],
]

export function emptyVector(dtype: Dtype, length: number): Vector {
  return dtype === 'f32' ? new Float32Array(length) : new Uint16Array(length)
}

/** Adasum of whole segments on the CPU. */
export function onCpu(
  inputs: readonly Vector[],
  dtype: Dtype,
  result: Dtype,
  segments: readonly number[],
): Reduction<Float32Array> {
  const out = emptyVector(result, inputs[0]!.length)
  const options = { segments, coefficients: true, out, ...(dtype === 'f32' ? {} : { dtype }) }
  return adasumSync(inputs as Float32Array[], options as never)
}

interface Found {
  readonly record: ReductionRecord
  readonly result: Vector
}

/** The same on a device. */
export async function onDevice(
  device: GpuDevice,
  inputs: readonly Vector[],
  dtype: Dtype,
  result: Dtype,
  segments: readonly number[],
): Promise<Found> {
  const reducer = await GpuReducer.create({ device, slots: inputs.length, segments, dtype })
  for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
  const record = await reducer.reduce('adasum', result === dtype ? {} : { result: 'f32' })
  const found = await reducer.read(emptyVector(result, inputs[0]!.length))
  await reducer.close()
  return { record, result: found }
}

/** The device with less than it allows. */
export async function smallDevice(bindingBytes: number, workgroups: number): Promise<GpuDevice> {
  const { fromDevice } = await loadGpuBinding()
  return new GpuDevice(await fromDevice!(await pageDevice(), { bindingBytes, workgroups }))
}

export function numerics(device: GpuDevice): void {
  for (const family of FAMILY_NAMES)
    for (const [dtype, result, length] of CASES)
      test(`${family}, ${dtype} into ${result}: 1 to 16 inputs`, async (t) => {
        for (let k = 1; k <= 16; k++) {
          const inputs = inputsOf(family, dtype, k, length)
          const found = await onDevice(device, inputs, dtype, result, [length])
          const cpu = onCpu(inputs, dtype, result, [length])
          const error = relativeError(result, found.result, cpu.result)
          t.true(error <= tolerance(family, result), `${k}: ${error}`)
          t.true(
            Math.abs(found.record.orthogonality[0]! - cpu.segments[0]!.orthogonality!) <= 1e-7,
            `${k}: orthogonality`,
          )
        }
      })

  test('odd lengths', async (t) => {
    for (const length of [1, 2, 3, 5, 16, 17, 18, 19, 63, 255, 256, 257, 4095, 4096, 4097, 70_001])
      for (const family of ['independent', 'large common part', 'alternating'] satisfies FamilyName[])
        for (const dtype of ['f32', 'f16', 'bf16'] as const) {
          // A few numbers may cancel by chance, beyond what any tolerance of a family says.
          if (length < 16 && family !== 'large common part') continue
          const inputs = inputsOf(family, dtype, 3, length)
          const found = await onDevice(device, inputs, dtype, 'f32', [length])
          const error = relativeError('f32', found.result, onCpu(inputs, dtype, 'f32', [length]).result)
          t.true(error <= tolerance(family, 'f32'), `${family}, ${dtype}, ${length}: ${error}`)
        }
  })

  test('one to ten thousand segments, empty ones among them', async (t) => {
    for (const count of [1, 2, 3, 100, 10_000]) {
      const segments = Array.from({ length: count }, (_, i) => (i % 7 === 3 ? 0 : 1 + ((i * 2654435761) % 40)))
      const length = segments.reduce((sum, count) => sum + count, 0)
      for (const dtype of ['f32', 'bf16'] as const) {
        const inputs = inputsOf('large common part', dtype, 3, length)
        const found = await onDevice(device, inputs, dtype, 'f32', segments)
        const cpu = onCpu(inputs, dtype, 'f32', segments)
        const error = relativeError('f32', found.result, cpu.result)
        t.true(error < 6e-8, `${count} segments of ${dtype}: ${error}`)
        const theirs = cpu.segments.flatMap(({ coefficients }) => [...(coefficients ?? [])])
        const largest = found.record.coefficients.reduce((most, c, at) => Math.max(most, Math.abs(c - theirs[at]!)), 0)
        t.is(theirs.length, found.record.coefficients.length)
        t.true(largest < 1e-6, `${count} segments of ${dtype}: coefficients differ by ${largest}`)
      }
    }
  })

  test('bindings and dispatches are split where the device allows little', async (t) => {
    const segments = [5000, 1, 0, 77, 30_000, 2, 3]
    const length = segments.reduce((sum, count) => sum + count, 0)
    const small = await smallDevice(16 << 10, 3)
    for (const [k, family] of [
      [2, 'independent'],
      [5, 'nearly cancelling'],
      [11, 'alternating'],
    ] as const) {
      const inputs = inputsOf(family, 'f32', k, length, 31)
      const found = await onDevice(small, inputs, 'f32', 'f32', segments)
      const error = relativeError('f32', found.result, onCpu(inputs, 'f32', 'f32', segments).result)
      t.true(error < 1.2e-7, `${k}: ${error}`)
    }
    const tiny = await smallDevice(4 << 10, 1)
    const many = Array.from({ length: 700 }, (_, i) => i % 5)
    const inputs = inputsOf('large common part', 'bf16', 9, 1400, 37)
    const found = await onDevice(tiny, inputs, 'bf16', 'f32', many)
    const error = relativeError('f32', found.result, onCpu(inputs, 'bf16', 'f32', many).result)
    t.true(error < 1.2e-7, `${error}`)
  })

  test('products beyond the range of f32', async (t) => {
    for (const scales of [
      [1e-25, 1e-25, 1e-25],
      [1e25, 1e25, 1e25],
      [1e-12, 1, 1e12],
      [1e-20, 1e-20, 1e-3],
    ])
      for (const family of ['independent', 'large common part', 'nearly cancelling'] satisfies FamilyName[]) {
        const inputs = inputsOf(family, 'f32', 3, 2500, 29).map((vector, i) => vector.map((x) => x * scales[i]!))
        const found = await onDevice(device, inputs, 'f32', 'f32', [2499, 1])
        const error = relativeError('f32', found.result, onCpu(inputs, 'f32', 'f32', [2499, 1]).result)
        t.true(error < 2e-7, `${family} ${scales.join()}: ${error}`)
      }
  })

  test('sum and average, and accumulating', async (t) => {
    const inputs = inputsOf('spread norms', 'f32', 4, 3001) as Float32Array<ArrayBuffer>[]
    const reducer = await GpuReducer.create({ device, slots: 4, segments: [3000, 1] })
    for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
    const out = new Float32Array(3001)
    for (const [op, cpu] of [
      ['sum', sumSync(inputs)],
      ['average', averageSync(inputs)],
    ] as const) {
      t.is((await reducer.reduce(op)).orthogonality.length, 0)
      t.true(relativeError('f32', await reducer.read(out), cpu.result) < 1e-9, op)
    }
    await reducer.accumulate(1, inputs[0]!)
    await reducer.reduce('sum')
    const summed = inputs[1]!.map((x, i) => x + inputs[0]![i]!)
    const cpu = sumSync([inputs[0]!, summed, inputs[2]!, inputs[3]!])
    t.true(relativeError('f32', await reducer.read(out), cpu.result) < 1e-7)
    await reducer.close()
  })

  test('f32 written to halves is rounded once; halves of odd lengths are added', async (t) => {
    const segments = [3, 1, 5]
    const wide = [Float32Array.of(1.0001, -2.5, 3, 7, 1, 2, 3, 4, 5), new Float32Array(9).fill(0.5)]
    const reducer = await GpuReducer.create({ device, slots: 2, segments, dtype: 'bf16' })
    for (const [slot, vector] of wide.entries()) await reducer.write(slot, vector)
    const ones = new Uint16Array(9).fill(0x3f80)
    await reducer.accumulate(1, ones)
    await reducer.reduce('sum', { result: 'f32' })
    t.deepEqual([...(await reducer.read(new Float32Array(9)))], [2.5, -1, 4.5, 8.5, 2.5, 3.5, 4.5, 5.5, 6.5])
    await reducer.close()
  })

  test('equal inputs give equal bits', async (t) => {
    const inputs = inputsOf('alternating', 'f32', 5, 9001)
    const first = await onDevice(device, inputs, 'f32', 'f32', [9001])
    for (let turn = 0; turn < 2; turn++) t.deepEqual(await onDevice(device, inputs, 'f32', 'f32', [9001]), first)
  })
}
