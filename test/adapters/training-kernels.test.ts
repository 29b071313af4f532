import test from 'ava'
import { execa } from 'execa'
import * as tf from '@tensorflow/tfjs-core'
import type { LayersModel } from '@tensorflow/tfjs-layers'
import '@tensorflow/tfjs-backend-cpu'
import '@tensorflow/tfjs-backend-wasm'
import { registerTrainingKernels } from '../../ts/src/adapters/tfjs/index.ts'
import { ROOT } from '../_user-folder.ts'
import { gaussian, relativeError } from '../optim/_oracle.ts'
import { leNet } from './_models.ts'
import { TYPESCRIPT_ARGS } from '../_typescript.ts'

const LIMIT = 1e-6
const KERNELS = ['BatchMatMul', 'Conv2DBackpropFilter', 'Conv2DBackpropInput', 'Sum']

interface Input {
  values: Float32Array
  shape: number[]
}
type Computation = (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[]

const input = (shape: number[], seed: number): Input => ({
  shape,
  values: gaussian(
    shape.reduce((product, size) => product * size, 1),
    seed,
  ),
})

/** The results of a computation on a backend; whatever it left behind there fails the test. */
async function resultsOn(backend: string, inputs: readonly Input[], compute: Computation): Promise<Float32Array[]> {
  await tf.setBackend(backend)
  const before = tf.memory().numTensors
  const storage = tf.engine().backend.numDataIds()
  const results = tf.tidy(() => compute(...inputs.map(({ values, shape }) => tf.tensor(values.slice(), shape))))
  const list = Array.isArray(results) ? results : [results]
  const values = await Promise.all(list.map(async (result) => Float32Array.from(await result.data())))
  tf.dispose(list)
  if (tf.memory().numTensors !== before || tf.engine().backend.numDataIds() !== storage)
    throw new Error(`${backend} holds ${tf.engine().backend.numDataIds() - storage} buffers more than before`)
  return values
}

async function largestError(inputs: readonly Input[], compute: Computation): Promise<number> {
  const [expected, actual] = [await resultsOn('cpu', inputs, compute), await resultsOn('wasm', inputs, compute)]
  return Math.max(...expected.map((values, index) => relativeError(actual[index]!, values)))
}

test.before(async () => {
  // The stock kernels are taken over before the backend has been set up, and must be set up with it.
  registerTrainingKernels()
  await tf.setBackend('wasm')
})

test.serial('a second registration changes nothing', (t) => {
  const functions = KERNELS.map((name) => tf.getKernel(name, 'wasm').kernelFunc)
  registerTrainingKernels()
  t.deepEqual(
    KERNELS.map((name) => tf.getKernel(name, 'wasm').kernelFunc),
    functions,
  )
})

test.serial('a backend that lacks a kernel is not ready', (t) => {
  const reverse = tf.getKernel('Reverse', 'wasm')
  tf.unregisterKernel('Reverse', 'wasm')
  t.throws(registerTrainingKernels, { code: 'ERR_NOT_READY', message: /no kernel Reverse. Import/ })
  tf.registerKernel(reverse)
})

/** What a process says that imports these and then calls it. */
async function callWith(imports: string): Promise<string> {
  const call =
    'try { registerTrainingKernels(); console.log("done") } catch ({ code, message }) { console.log(code, message) }'
  const program = `import * as tf from '@tensorflow/tfjs-core'\n${imports}\nimport { registerTrainingKernels } from 'adasum/tfjs'\n${call}`
  const args = [...TYPESCRIPT_ARGS, '--input-type=module', '--eval', program]
  const { stdout } = await execa(process.execPath, args, { cwd: ROOT })
  return stdout.trim().split('\n').at(-1)!
}

// As tfjs-node registers its own.
const TENSORFLOW =
  "tf.registerBackend('tensorflow', () => new tf.KernelBackend(), 3); await tf.setBackend('tensorflow')"

test.serial('other backends have kernels of their own: nothing to do', async (t) => {
  const imports = ["import '@tensorflow/tfjs-backend-cpu'", TENSORFLOW, '']
  t.deepEqual(await Promise.all(imports.map(callWith)), [
    'done',
    'done',
    "ERR_NOT_READY tfjs-core has no backend. Import '@tensorflow/tfjs-backend-wasm' (one copy of tfjs-core) first.",
  ])
})

type Padding = 'same' | 'valid' | number
interface Convolution {
  x: [batch: number, height: number, width: number, channels: number]
  filter: [height: number, width: number, channels: number]
  strides: [number, number]
  pad: Padding
}

// With a number as padding, TensorFlow.js computes the output's size as if filter and stride were square, and the stock
// forward kernel then writes past its output: such convolutions are left out.
const CONVOLUTIONS: Convolution[] = []
for (const strides of [
  [1, 1],
  [2, 2],
  [1, 2],
  [3, 2],
] as [number, number][])
  // prettier-ignore
  for (const pad of ['same', 'valid', 0, 1, 2] as Padding[])
    for (const filter of [[3, 3, 4], [5, 3, 1], [2, 4, 3], [1, 1, 5]] as Convolution['filter'][]) // prettier-ignore
      for (const x of [[1, 7, 9, 1], [3, 8, 5, 2], [5, 6, 6, 3]] as Convolution['x'][]) // prettier-ignore
        if (typeof pad !== 'number' || (filter[0] === filter[1] && strides[0] === strides[1]))
          CONVOLUTIONS.push({ x, filter, strides, pad })
// More images than a tile holds; more columns than one tile; large maps, where the sum is longest.
CONVOLUTIONS.push({ x: [70, 6, 7, 2], filter: [3, 3, 4], strides: [1, 1], pad: 'same' })
CONVOLUTIONS.push({ x: [33, 4, 40, 1], filter: [2, 3, 2], strides: [1, 1], pad: 'valid' })
CONVOLUTIONS.push({ x: [2, 3, 1100, 1], filter: [2, 3, 2], strides: [1, 2], pad: 'same' })
CONVOLUTIONS.push({ x: [64, 28, 28, 1], filter: [5, 5, 6], strides: [1, 1], pad: 'same' })

// round: TensorFlow.js wants it said for numbers as padding.
const roundingOf = (pad: Padding): 'floor' | undefined => (typeof pad === 'number' ? 'floor' : undefined)

test.serial(`convolution gradients: ${CONVOLUTIONS.length} shapes, strides and paddings`, async (t) => {
  for (const [index, { x, filter, strides, pad }] of CONVOLUTIONS.entries()) {
    const [height, width, outChannels] = filter
    const filterShape = [height, width, x[3], outChannels]
    const compute: Computation = (image, kernel) => {
      const convolve = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
        tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, strides, pad, 'NHWC', 1, roundingOf(pad))
      const y = convolve(image, kernel)
      const dy = tf.tensor(gaussian(y.size, index + 1), y.shape)
      return tf.grads(convolve)([image, kernel], dy)
    }
    const error = await largestError([input(x, index), input(filterShape, index + 500)], compute)
    t.true(error <= LIMIT, `${JSON.stringify({ x, filter, strides, pad })}: ${error}`)
  }
})

test.serial('explicit padding, wider than the filter on one side', async (t) => {
  const pads: [number, number][][] = [
    [[0, 0], [1, 0], [0, 2], [0, 0]], // prettier-ignore
    [[0, 0], [4, 1], [3, 5], [0, 0]], // prettier-ignore
  ]
  for (const pad of pads) {
    for (const strides of [1, 2]) {
      const compute: Computation = (image, kernel) => {
        const convolve = (a: tf.Tensor, b: tf.Tensor): tf.Tensor =>
          tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, strides, pad as never, 'NHWC', 1, 'floor')
        const y = convolve(image, kernel)
        return tf.grads(convolve)([image, kernel], tf.tensor(gaussian(y.size, 3), y.shape))
      }
      const error = await largestError([input([2, 7, 6, 3], 1), input([3, 2, 3, 4], 2)], compute)
      t.true(error <= LIMIT, `${JSON.stringify(pad)}, stride ${strides}: ${error}`)
    }
  }
})

test.serial('dilated convolutions still have no gradient, in the words of TensorFlow.js', async (t) => {
  await tf.setBackend('wasm')
  const run = () =>
    tf.tidy(() => {
      const image = tf.ones([1, 8, 8, 1])
      return tf.grad((kernel) => tf.conv2d(image as tf.Tensor4D, kernel as tf.Tensor4D, 1, 'valid', 'NHWC', 2))(
        tf.ones([3, 3, 1, 1]),
      )
    })
  t.throws(run, { message: /dilation rates greater than 1 are not yet supported/ })
})

const PRODUCTS: [a: number[], b: number[]][] = [
  [[5, 7], [7, 3]],
  [[1, 9], [9, 1]],
  [[64, 400], [400, 120]],
  [[4, 5, 7], [4, 7, 3]],
  [[4, 5, 7], [1, 7, 3]],
  [[1, 5, 7], [4, 7, 3]],
  [[2, 3, 5, 7], [2, 3, 7, 4]],
  [[2, 3, 5, 7], [1, 1, 7, 4]],
  [[2, 1, 5, 7], [1, 3, 7, 4]],
  [[3, 64, 65], [3, 65, 66]],
  [[2, 2, 70, 64], [2, 2, 64, 33]],
  [[3, 70, 64], [1, 64, 33]],
] // prettier-ignore

const swapped = (shape: number[], isSwapped: boolean): number[] =>
  isSwapped ? [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!] : shape

test.serial(`matrix products: ${PRODUCTS.length} shapes, transposed or not, and their gradients`, async (t) => {
  for (const [index, [a, b]] of PRODUCTS.entries()) {
    for (const [transposeA, transposeB] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      // prettier-ignore
      const multiply = (x: tf.Tensor, y: tf.Tensor): tf.Tensor => tf.matMul(x, y, transposeA, transposeB)
      const compute: Computation = (x, y) => {
        const product = multiply(x, y)
        // TensorFlow.js has no gradient for batches of unequal sizes.
        if (a.slice(0, -2).join() !== b.slice(0, -2).join()) return product
        return [product, ...tf.grads(multiply)([x, y], tf.tensor(gaussian(product.size, 7), product.shape))]
      }
      const inputs = [input(swapped(a, transposeA), index), input(swapped(b, transposeB), index + 50)]
      const error = await largestError(inputs, compute)
      t.true(error <= LIMIT, `${JSON.stringify({ a, b, transposeA, transposeB })}: ${error}`)
    }
  }
})

test.serial('a product of unequal inner sizes is refused, empty and integer operands are as before', async (t) => {
  await tf.setBackend('wasm')
  t.throws((): tf.Tensor => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]), true, true))
  t.deepEqual(
    tf.tidy(() => tf.matMul(tf.ones([0, 3]), tf.ones([3, 2])).shape),
    [0, 2],
  )
  t.throws((): tf.Tensor => tf.matMul(tf.ones([2, 3], 'int32'), tf.ones([2, 3], 'int32'), true), { message: /float32/ })
})

const SUMS: [shape: number[], axes: number[] | undefined][] = [
  [[7, 5], undefined],
  [[40, 50], undefined],
  [[3000, 3], [0]],
  [[3, 3000], [1]],
  [[3, 3000], [-1]],
  [[16, 28, 28, 6], [0, 1, 2]],
  [[4, 28, 28, 6], [1, 2, 3]],
  [[4, 40, 50, 3], [1, 2]],
  [[2, 5, 1100], [0, 2]],
  [[1031, 2], [0]],
  [[3_000_000], undefined],
] // prettier-ignore

test.serial(`sums: ${SUMS.length} shapes, with and without the axes kept`, async (t) => {
  for (const [index, [shape, axes]] of SUMS.entries()) {
    for (const keepDims of [false, true]) {
      const shapes = new Set<string>()
      const compute: Computation = (x) => {
        const result = tf.sum(x, axes, keepDims)
        shapes.add(result.shape.join())
        return result
      }
      const error = await largestError([input(shape, index)], compute)
      t.true(error <= 3 * LIMIT, `${JSON.stringify({ shape, axes, keepDims })}: ${error}`)
      t.is(shapes.size, 1)
    }
  }
})

test.serial('every LeNet gradient value', async (t) => {
  const batch = 16
  const model: LayersModel = leNet({ seed: 5 })
  const start = model
    .getWeights()
    .map((weight) => ({ values: Float32Array.from(weight.dataSync()), shape: weight.shape }))
  const images = input([batch, 28, 28, 1], 11)
  const labels = Int32Array.from({ length: batch }, (_, i) => i % 10)
  const gradientsOn = async (backend: string): Promise<Float32Array[]> => {
    await tf.setBackend(backend)
    return tf.tidy(() => {
      model.setWeights(start.map(({ values, shape }) => tf.tensor(values.slice(), shape)))
      const x = tf.tensor(images.values.slice(), images.shape)
      const y = tf.oneHot(tf.tensor1d(labels, 'int32'), 10)
      const lossOf = (): tf.Scalar => tf.losses.softmaxCrossEntropy(y, model.apply(x, { training: true }) as tf.Tensor)
      const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable)
      const { grads } = tf.variableGrads(lossOf, variables)
      return variables.map(({ name }) => Float32Array.from(grads[name]!.dataSync()))
    })
  }
  const [expected, actual] = [await gradientsOn('cpu'), await gradientsOn('wasm')]
  t.is(expected.reduce((total, values) => total + values.length, 0), 61_706) // prettier-ignore
  expected.forEach((values, index) => {
    const error = relativeError(actual[index]!, values)
    t.true(error <= LIMIT, `weight ${index}: ${error}`)
  })
  await tf.setBackend('wasm')
  model.dispose()
})
