/** Vectors that lie in the page's own buffers, and never leave the device. */
import test from 'ava'
import { BufferReducer, type GpuDevice, GpuReducer, type PageBuffer } from '../../../ts/src/gpu/index.ts'
import type { WebGpuDevice } from '../../../ts/src/gpu/web/webgpu.ts'
import {
  type Dtype,
  FAMILY_NAMES,
  type FamilyName,
  type Vector,
  inputsOf,
  relativeError,
  tolerance,
} from './_inputs.ts'
import { emptyVector, onCpu } from './_numerics.ts'
import { bufferOf, buffersOf, copiedBuffers, emptyBuffers, readBuffers } from './_page.ts'

interface Case {
  readonly inputs: readonly Vector[]
  readonly dtype: Dtype
  readonly result: Dtype
  readonly segments: readonly number[]
  readonly inPlaceBytes: number
}

async function combined(page: WebGpuDevice, device: GpuDevice, given: Case): Promise<Vector> {
  const { inputs, dtype, result, segments, inPlaceBytes } = given
  const reducer = await BufferReducer.create({ device, inputs: inputs.length, segments, dtype, inPlaceBytes })
  const lists = inputs.map((input) => buffersOf(page, input, segments))
  const out = emptyBuffers(page, result, segments)
  const record = await reducer.reduce('adasum', lists, out, result === dtype ? {} : { result: 'f32' })
  const found = await readBuffers(page, result, out, segments)
  await reducer.close()
  if (record.orthogonality.length !== segments.length) throw new Error(`${record.orthogonality.length} segments`)
  return found
}

export function buffers(page: WebGpuDevice, device: GpuDevice): void {
  const compare = async (family: FamilyName, k: number, given: Omit<Case, 'inputs'>): Promise<[boolean, string]> => {
    const { dtype, result, segments } = given
    const length = segments.reduce((sum, count) => sum + count, 0)
    const inputs = inputsOf(family, dtype, k, length)
    const found = await combined(page, device, { ...given, inputs })
    const error = relativeError(result, found, onCpu(inputs, dtype, result, segments).result)
    return [error <= 2 * tolerance(family, result), `${family}, ${k} x ${dtype} into ${result}: ${error}`]
  }

  for (const [name, inPlaceBytes] of [
    ['in place', 0],
    ['long segments in place, short ones copied together', 400],
    ['copied together', Infinity],
  ] as const)
    test(`buffers of the page, ${name}: every family and dtype`, async (t) => {
      const segments = [1028, 1, 0, 203, 4096, 7]
      for (const family of FAMILY_NAMES)
        for (const k of [1, 2, 3, 6, 7])
          for (const [dtype, result] of [
            ['f32', 'f32'],
            ['f16', 'f16'],
            ['bf16', 'f32'],
          ] as const) {
            // In a segment of one element it is chance what cancels.
            const chosen = family === 'nearly cancelling' || family === 'alternating' ? [1028, 203, 4096] : segments
            t.true(...(await compare(family, k, { dtype, result, segments: chosen, inPlaceBytes })))
          }
    })

  test('in place is bit for bit what copied together is', async (t) => {
    const segments = [4100, 1032, 70_000]
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const inputs = inputsOf('alternating', dtype, 4, 75_132)
      const given = { inputs, dtype, result: dtype, segments }
      const inPlace = await combined(page, device, { ...given, inPlaceBytes: 0 })
      t.deepEqual(inPlace, await combined(page, device, { ...given, inPlaceBytes: Infinity }))
    }
  })

  test('in place nothing of the vectors is copied', async (t) => {
    const segments = [4096, 20]
    for (const [inPlaceBytes, copies] of [
      [0, 0],
      [Infinity, 2 * 3 + 2],
    ] as const) {
      const reducer = await BufferReducer.create({ device, inputs: 3, segments, inPlaceBytes })
      const lists = inputsOf('independent', 'f32', 3, 4116).map((input) => buffersOf(page, input, segments))
      const out = emptyBuffers(page, 'f32', segments)
      const copied = copiedBuffers()
      await reducer.reduce('adasum', lists, out)
      const all = new Set([...lists.flat(), ...out])
      t.is(copied().filter((pair) => pair.some((buffer) => all.has(buffer))).length, copies)
      await reducer.close()
    }
  })

  test('products beyond the range of f32, in place', async (t) => {
    for (const k of [3, 6])
      for (const scale of [1e-25, 1e25])
        for (const family of ['independent', 'nearly cancelling'] as const) {
          const inputs = inputsOf(family, 'f32', k, 2500, 29).map((vector) => vector.map((x) => x * scale))
          const given = { inputs, dtype: 'f32', result: 'f32', segments: [2496, 4], inPlaceBytes: 0 } as const
          const error = relativeError(
            'f32',
            await combined(page, device, given),
            onCpu(inputs, 'f32', 'f32', [2496, 4]).result,
          )
          t.true(error < 2.4e-7, `${k}, ${family} ${scale}: ${error}`)
        }
  })

  test('a reducer serves any number of reductions, of other buffers each time', async (t) => {
    const segments = [300, 20_000]
    const reducer = await BufferReducer.create({ device, inputs: 3, segments })
    for (let turn = 0; turn < 3; turn++) {
      const inputs = inputsOf('large common part', 'f32', 3, 20_300, turn)
      const out = emptyBuffers(page, 'f32', segments)
      await reducer.reduce(
        'adasum',
        inputs.map((input) => buffersOf(page, input, segments)),
        out,
      )
      const found = await readBuffers(page, 'f32', out, segments)
      t.true(relativeError('f32', found, onCpu(inputs, 'f32', 'f32', segments).result) < 6e-8, `turn ${turn}`)
    }
    await reducer.close()
  })

  test('slots take buffers of the page and give results to them', async (t) => {
    const segments = [3, 1001, 0, 6]
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const inputs = inputsOf('large common part', dtype, 2, 1010)
      const reducer = await GpuReducer.create({ device, slots: 2, segments, dtype })
      for (const [slot, input] of inputs.entries()) await reducer.writeBuffers(slot, buffersOf(page, input, segments))
      await reducer.reduce('adasum')
      const out = emptyBuffers(page, dtype, segments)
      await reducer.readInto(out)
      const host = await reducer.read(emptyVector(dtype, 1010))
      t.deepEqual(await readBuffers(page, dtype, out, segments), host, dtype)
      t.true(
        relativeError(dtype, host, onCpu(inputs, dtype, dtype, segments).result) <=
          tolerance('large common part', dtype),
      )
      await reducer.accumulateBuffers(0, buffersOf(page, inputs[1]!, segments))
      await reducer.accumulate(1, inputs[0]!)
      await reducer.reduce('adasum')
      // Both slots have the same sum now, up to the order of its two terms, which does not matter.
      const both = await reducer.read(emptyVector(dtype, 1010))
      await reducer.reduce('average')
      t.deepEqual(
        both,
        await reducer.read(emptyVector(dtype, 1010)),
        `${dtype}: the mean of two equal vectors is each of them`,
      )
      await reducer.close()
    }
  })

  test('buffers that do not fit are refused by name', async (t) => {
    const reducer = await BufferReducer.create({ device, inputs: 2, segments: [4, 2] })
    const good = (): PageBuffer[] => buffersOf(page, new Float32Array(6), [4, 2])
    const out = emptyBuffers(page, 'f32', [4, 2])
    const refused = (inputs: PageBuffer[][], out: PageBuffer[], message: RegExp): Promise<unknown> =>
      t.throwsAsync(() => reducer.reduce('adasum', inputs, out), { code: 'ERR_ARGUMENT', message })
    const short = bufferOf(page, new Float32Array(3), 0)
    await refused([good()], out, /1 inputs, the reducer is for 2/)
    await refused([good(), good().slice(1)], out, /inputs\[1\] has 1 buffers, there are 2 segments/)
    await refused([good(), [short, good()[1]!]], out, /inputs\[1\]\[0\] has 12 bytes, its segment needs 16/)
    await refused([good(), good()], [short, out[1]!], /out\[0\] has 12 bytes/)
    await refused([good(), good()], [new Float32Array(4) as never, out[1]!], /out\[0\] is .*must be a GPUBuffer/)
    const unreadable = page.createBuffer({ size: 16, usage: 0x8 })
    await refused([good(), [unreadable, good()[1]!]], out, /usage 8, which lacks GPUBufferUsage\.COPY_SRC/)
    const inputs = [good(), good()]
    await refused(inputs, [out[0]!, inputs[1]![1]!], /out\[1\] and inputs\[1\]\[1\] are one buffer/)
    await refused(inputs, [out[0]!, out[0]!], /out\[1\] and out\[0\] are one buffer/)
    // An input may be there twice, and nothing has spoilt the reducer.
    await reducer.reduce('adasum', [inputs[0]!, inputs[0]!], out)
    await reducer.close()
  })
}
