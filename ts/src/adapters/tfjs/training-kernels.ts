import * as tf from '@tensorflow/tfjs-core'
import { AdasumError } from '../../errors.ts'
import { batchMatMul } from './kernels/batch-mat-mul.ts'
import { conv2dBackpropFilter } from './kernels/conv2d-backprop-filter.ts'
import { conv2dBackpropInput } from './kernels/conv2d-backprop-input.ts'
import { sum } from './kernels/sum.ts'
import { BACKEND_NAME, IMPORT_ADVICE, missingKernel, type Kernel } from './kernels/runtime.ts'

const REQUIRED_KERNELS = ['BatchMatMul', 'Conv2D', 'Conv2DBackpropInput', 'Reverse', 'Sum', 'Transpose']

/** Kernel functions that this module made, so that a second call finds them in place. */
const ours = new WeakSet<tf.KernelFunc>()

/**
 * Makes the wasm backend of TensorFlow.js fit for training, by replacing kernels in its public registry:
 *
 * - `Conv2DBackpropFilter`, which it lacks: convolutional layers could not be trained at all;
 * - `Conv2DBackpropInput` for stride 1, and `BatchMatMul` with transposed operands or a batch of matrices, which it
 *   has, but not through its fast path;
 * - `Sum` of more than 1,024 terms, such as the gradient of a bias, for accuracy.
 *
 * Results agree with the cpu backend's to a relative L2 error of 1e-6. Float32 and NHWC only, like the kernels
 * replaced. A second call does nothing. It may come before or after `tf.setBackend('wasm')`. Programs that have
 * imported other backends only (tfjs-node's, webgl, webgpu, cpu) may call it as well: those have kernels of their own,
 * and nothing is done.
 *
 * @throws AdasumError ERR_NOT_READY if no backend has been imported, or one of wasm without its kernels
 */
export function registerTrainingKernels(): void {
  if (!isNeeded(tf.engine().backendNames())) return
  for (const name of REQUIRED_KERNELS) {
    if (tf.getKernel(name, BACKEND_NAME) == null) throw new AdasumError('ERR_NOT_READY', missingKernel(name))
  }
  override('BatchMatMul', batchMatMul)
  override('Conv2DBackpropInput', conv2dBackpropInput)
  override('Sum', sum)
  override('Conv2DBackpropFilter', () => conv2dBackpropFilter)
}

function isNeeded(backends: readonly string[]): boolean {
  if (backends.length > 0) return backends.includes(BACKEND_NAME)
  throw new AdasumError('ERR_NOT_READY', `tfjs-core has no backend. ${IMPORT_ADVICE}`)
}

function override(name: string, wrap: (stock: Kernel) => Kernel): void {
  const stock = tf.getKernel(name, BACKEND_NAME) as tf.KernelConfig | undefined
  if (stock !== undefined && ours.has(stock.kernelFunc)) return
  const kernelFunc = wrap(stock?.kernelFunc as unknown as Kernel) as unknown as tf.KernelFunc
  ours.add(kernelFunc)
  if (stock !== undefined) tf.unregisterKernel(name, BACKEND_NAME)
  // The stock kernel's set-up still has to run: it binds the wasm function that the replacement falls back to.
  tf.registerKernel({ ...stock, kernelName: name, backendName: BACKEND_NAME, kernelFunc })
}
