/**
 * tfjs's own webgpu backend in the page: gradients of micro-batches, combined on its device. scripts/test-browser.mjs serves this
 * file as /test/browser/gpu-tfjs.js.
 */
import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-core/dist/register_all_gradients.js'
import '@tensorflow/tfjs-backend-cpu'
import '@tensorflow/tfjs-backend-webgpu'
import { TensorReducer } from '../../../ts/src/adapters/tfjs-webgpu/index.ts'
import { adasum, adasumSync } from '../../../ts/src/reduction/local.ts'
import { runTests } from '../_ava.ts'
import { relativeError } from './_inputs.ts'
import { complaints } from './_page.ts'
import type { GpuReport } from './suite.ts'

const MICRO_BATCHES = 4
const INPUTS = 64
const HIDDEN = 600

/** A network of one hidden layer: one weight of 153,600 bytes, others of a few. */
function network(): { variables: tf.Variable[]; lossOf: (x: tf.Tensor2D, y: tf.Tensor2D) => tf.Scalar } {
  const variables = [
    tf.variable(tf.randomNormal([INPUTS, HIDDEN], 0, 0.1, 'float32', 1)),
    tf.variable(tf.zeros([HIDDEN])),
    tf.variable(tf.randomNormal([HIDDEN, 3], 0, 0.1, 'float32', 2)),
    tf.variable(tf.zeros([3])),
  ] as const
  const [w1, b1, w2, b2] = variables
  const lossOf = (x: tf.Tensor2D, y: tf.Tensor2D): tf.Scalar => {
    const hidden = tf.relu(tf.add(tf.matMul(x, w1 as unknown as tf.Tensor2D), b1))
    const out = tf.add(tf.matMul(hidden as tf.Tensor2D, w2 as unknown as tf.Tensor2D), b2)
    return tf.mean(tf.square(tf.sub(out, y)))
  }
  return { variables: [...variables], lossOf }
}

/** The gradients of each micro-batch. */
function gradientsOf({ variables, lossOf }: ReturnType<typeof network>): tf.NamedTensorMap[] {
  return Array.from({ length: MICRO_BATCHES }, (_, index) =>
    tf.tidy(() => {
      const x = tf.randomNormal<tf.Rank.R2>([16, INPUTS], 0, 1, 'float32', 10 + index)
      const y = tf.randomNormal<tf.Rank.R2>([16, 3], 0, 1, 'float32', 20 + index)
      return tf.variableGrads(() => lossOf(x, y), variables).grads
    }),
  )
}

/** Bytes that were mapped for the host to read, from now on. */
function mappedBytes(): () => number {
  const { prototype } = (globalThis as unknown as { GPUBuffer: { prototype: Record<string, unknown> } }).GPUBuffer
  const original = prototype['mapAsync'] as (this: { size: number }, mode: number) => Promise<void>
  let bytes = 0
  prototype['mapAsync'] = function (this: { size: number }, mode: number) {
    bytes += mode === 1 ? this.size : 0
    return original.call(this, mode)
  }
  return () => {
    prototype['mapAsync'] = original
    return bytes
  }
}

async function onCpu(gradients: readonly tf.NamedTensorMap[]): Promise<Map<string, Float32Array>> {
  const combined = new Map<string, Float32Array>()
  for (const name of Object.keys(gradients[0]!)) {
    const arrays = await Promise.all(gradients.map(async (map) => (await map[name]!.data()) as Float32Array))
    combined.set(name, adasumSync(arrays.map((array) => array.slice())).result)
  }
  return combined
}

/** The loss before each of some steps and after the last, trained with what `combine` makes of micro-batches. */
async function losses(combine: (gradients: tf.NamedTensorMap[]) => Promise<tf.NamedTensorMap>): Promise<number[]> {
  const model = network()
  const [x, y] = [tf.randomNormal([64, INPUTS], 0, 1, 'float32', 5), tf.randomNormal([64, 3], 0, 1, 'float32', 6)]
  const optimizer = tf.train.sgd(0.005)
  const found: number[] = []
  for (let step = 0; step <= 5; step++) {
    found.push((await tf.tidy(() => model.lossOf(x as tf.Tensor2D, y as tf.Tensor2D)).data())[0]!)
    const gradients = Array.from({ length: MICRO_BATCHES }, (_, index) =>
      tf.tidy(() => {
        const [part, want] = [x, y].map((all) => tf.slice(all as tf.Tensor2D, [16 * index, 0], [16, -1]))
        return tf.variableGrads(() => model.lossOf(part as tf.Tensor2D, want as tf.Tensor2D), model.variables).grads
      }),
    )
    const combined = await combine(gradients)
    optimizer.applyGradients(combined)
    tf.dispose([gradients, combined] as never)
  }
  return found
}

function tensorReducer(): void {
  for (const inPlaceBytes of [undefined, 0, Infinity])
    test(`gradients of micro-batches, in place from ${inPlaceBytes ?? 'the default'} bytes`, async (t) => {
      const gradients = gradientsOf(network())
      const reducer = new TensorReducer(inPlaceBytes === undefined ? {} : { inPlaceBytes })
      await reducer.combine('sum', gradients).then(({ tensors }) => tf.dispose(tensors))
      const [tensorCount, mapped] = [tf.memory().numTensors, mappedBytes()]
      const { tensors, segments, nonFinite } = await reducer.combine('adasum', gradients)
      const bytes = mapped()
      t.true(bytes > 0 && bytes < 8_000, `${bytes} bytes were read`)
      t.is(tf.memory().numTensors, tensorCount + 4)
      t.deepEqual(nonFinite, [])
      const cpu = await onCpu(gradients)
      for (const { name, elementCount, orthogonality } of segments) {
        t.deepEqual(tensors[name]!.shape, gradients[0]![name]!.shape)
        const found = (await tensors[name]!.data()) as Float32Array
        t.is(found.length, elementCount)
        t.true(relativeError('f32', found, cpu.get(name)!) < 6e-8, name)
        t.true(orthogonality! > 0.25 && orthogonality! < 1.5, `${orthogonality}`)
      }
      t.is(segments.length, 4)
      tf.dispose([tensors, gradients] as never)
      await reducer.close()
    })

  test('lists of tensors, some of them in the host memory, of other sizes each time', async (t) => {
    const reducer = new TensorReducer()
    for (const length of [3, 5, 20_001]) {
      const inputs = [1, 2].map((seed) => [
        tf.randomNormal([length], 0, 1, 'float32', seed),
        tf.tensor1d(Float32Array.from({ length }, (_, i) => Math.sin(i * seed))),
      ])
      const { tensors } = await reducer.combine('adasum', inputs)
      for (const [index, tensor] of tensors.entries()) {
        const arrays = await Promise.all(
          inputs.map(async (list) => ((await list[index]!.data()) as Float32Array).slice()),
        )
        t.true(relativeError('f32', await tensor.data(), adasumSync(arrays).result) < 6e-8, `${length}`)
        // And tfjs goes on computing with it.
        t.true(Number.isFinite((await tf.sum(tensor).data())[0]))
      }
      tf.dispose([inputs, tensors] as never)
    }
    await reducer.close()
  })

  test('training with combined gradients, beside the same on the CPU', async (t) => {
    const reducer = new TensorReducer()
    const onDevice = await losses(async (gradients) => (await reducer.combine('adasum', gradients)).tensors)
    const beside = await losses(async (gradients) => {
      const shapes = Object.entries(gradients[0]!).map(([name, { shape }]) => [name, shape] as const)
      const combined = await onCpu(gradients)
      return Object.fromEntries(shapes.map(([name, shape]) => [name, tf.tensor(combined.get(name)!, shape)]))
    })
    await reducer.close()
    t.true(onDevice.at(-1)! < 0.9 * onDevice[0]!, onDevice.join())
    for (const [step, loss] of onDevice.entries())
      t.true(Math.abs(loss / beside[step]! - 1) < 1e-5, `${loss} ${beside[step]}`)
  })

  test('what does not fit is refused', async (t) => {
    const reducer = new TensorReducer()
    const refused = (call: () => Promise<unknown>, message: RegExp, code = 'ERR_ARGUMENT'): Promise<unknown> =>
      t.throwsAsync(call, { code, message })
    const ones = (...shape: number[]): tf.Tensor => tf.ones(shape)
    await refused(() => reducer.combine('adasum', []), /at least one list/)
    await refused(() => reducer.combine('adasum', [[]]), /0 tensors/)
    await refused(() => reducer.combine('adasum', [[ones(2)], []]), /inputs\[1\] has 0 tensors, inputs\[0\] has 1/)
    await refused(() => reducer.combine('adasum', [[ones(2)], [ones(3)]]), /shape \[3\], in inputs\[0\] it has \[2\]/)
    await refused(() => reducer.combine('adasum', [[tf.tensor1d([1], 'int32')]]), /is int32; only float32/)
    await refused(() => reducer.combine('adasum', [[Float32Array.of(1) as never]]), /must be a tf\.Tensor/)
    const nan = tf.tensor1d([1, NaN])
    await refused(() => reducer.combine('adasum', [[ones(2)], [nan]]), /slot 1/, 'ERR_NON_FINITE')
    t.deepEqual((await reducer.combine('adasum', [[ones(2)], [nan]], { onNonFinite: 'skip' })).nonFinite, [1])
    await tf.setBackend('cpu')
    await refused(() => reducer.combine('adasum', [[ones(2)]]), /backend is cpu/, 'ERR_UNSUPPORTED')
    await tf.setBackend('webgpu')
    await reducer.close()
  })

  test('nothing has been said that nobody caught', (t) => t.deepEqual(complaints, []))
}

export async function run(): Promise<GpuReport> {
  await adasum([Float32Array.of(1)])
  if (!(await tf.setBackend('webgpu'))) throw new Error('tfjs cannot use its webgpu backend here')
  await tf.ready()
  tensorReducer()
  return { outcomes: await runTests('tfjs'), adapter: `that of tfjs ${tf.version_core}`, arithmetic: 'unknown' }
}
