/**
 * Gradient of a 2-D convolution with respect to its input.
 *
 * For stride 1 it is the convolution of dy with the filter turned by 180 degrees and its channel axes exchanged, with
 * padding `filter - 1 - pad` on each side, and XNNPACK does it many times faster than the stock kernel's loops. For
 * other strides, for padding wider than the filter and for NCHW the stock kernel stays in charge.
 */
import { convolutionGeometry, free, runKernel, type Geometry, type Kernel, type KernelCall } from './runtime.ts'
import type { TensorInfo } from '@tensorflow/tfjs-core'

export function conv2dBackpropInput(stock: Kernel): Kernel {
  return (call: KernelCall): TensorInfo => {
    const { backend, inputs, attrs } = call
    const { dy, filter } = inputs as { dy: TensorInfo; filter: TensorInfo }
    if (attrs['dataFormat'] === 'NCHW') return stock(call)
    const geometry = convolutionGeometry(attrs['inputShape'] as number[], filter.shape, attrs)
    const { filterHeight, filterWidth, pad } = geometry
    const padding = [
      [0, 0],
      [filterHeight - 1 - pad.top, filterHeight - 1 - pad.bottom],
      [filterWidth - 1 - pad.left, filterWidth - 1 - pad.right],
      [0, 0],
    ]
    if (!isStrideOne(geometry) || padding.flat().some((size) => size < 0)) return stock(call)
    const turned = runKernel('Reverse', backend, { x: filter }, { dims: [0, 1] })
    const exchanged = runKernel('Transpose', backend, { x: turned }, { perm: [0, 1, 3, 2] })
    const attributes = { strides: 1, dilations: 1, pad: padding, dataFormat: 'NHWC' }
    const dx = runKernel('Conv2D', backend, { x: dy, filter: exchanged }, attributes)
    free(backend, turned, exchanged)
    return dx
  }
}

/** Stride 1, and sizes that fit: for a number as padding, TensorFlow.js takes filter and stride to be square. */
function isStrideOne(geometry: Geometry): boolean {
  const { inHeight, inWidth, outHeight, outWidth, filterHeight, filterWidth, strideHeight, strideWidth, pad } = geometry
  const fits =
    outHeight === inHeight + pad.top + pad.bottom - filterHeight + 1 &&
    outWidth === inWidth + pad.left + pad.right - filterWidth + 1
  return strideHeight === 1 && strideWidth === 1 && fits
}
