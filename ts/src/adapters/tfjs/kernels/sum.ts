/**
 * Sum along axes. The stock kernel adds into one f32 accumulator; the gradient of a bias is such a sum over batch and
 * pixels, and its error grows with the square root of their number. Long sums are therefore taken in pieces, and the
 * pieces' results summed again, with the stock kernel for both.
 */
import { util, type TensorInfo } from '@tensorflow/tfjs-core'
import { free, reshape, type Kernel, type KernelCall } from './runtime.ts'

const MAX_PIECE = 1024
/** Pieces shorter than this are not worth the second pass; lengths with no divisor in between stay as they are. */
const MIN_PIECE = 16

export function sum(stock: Kernel): Kernel {
  const kernel = (call: KernelCall): TensorInfo => {
    const { backend, inputs, attrs } = call
    const { x } = inputs as { x: TensorInfo }
    const axes = util.parseAxisParam(attrs['axis'] as number | number[], x.shape)
    const blocks = blocksOf(x.shape, axes)
    const piece = blocks && pieceOf(blocks.length)
    if (x.dtype !== 'float32' || blocks === undefined || piece === undefined) return stock(call)
    const pieces = blocks.length / piece
    const [shape, axis] = blocks.isLeading ? [[pieces, piece, blocks.rest], 1] : [[blocks.rest, pieces, piece], 2]
    const partial = stock({ backend, inputs: { x: reshape(x, shape) }, attrs: { axis: [axis], keepDims: false } })
    // Again through this kernel: there may be many pieces.
    const total = kernel({
      backend,
      inputs: { x: partial },
      attrs: { axis: [blocks.isLeading ? 0 : 1], keepDims: false },
    })
    free(backend, partial)
    total.shape = outputShape(x.shape, axes, attrs['keepDims'] === true)
    return total
  }
  return kernel
}

/** The tensor as a matrix of which rows (leading) or columns are summed; undefined if the axes are not such a block. */
function blocksOf(shape: number[], axes: number[]): { isLeading: boolean; length: number; rest: number } | undefined {
  const length = axes.reduce((product, axis) => product * shape[axis]!, 1)
  const rest = util.sizeFromShape(shape) / length
  const first = shape.length - axes.length
  if (axes.every((axis) => axis < axes.length)) return { isLeading: true, length, rest }
  return axes.every((axis) => axis >= first) ? { isLeading: false, length, rest } : undefined
}

/** The largest divisor of `length` that makes a piece; undefined if it need not or cannot be cut. */
function pieceOf(length: number): number | undefined {
  if (length <= MAX_PIECE) return undefined
  for (let piece = MAX_PIECE; piece >= MIN_PIECE; piece--) if (length % piece === 0) return piece
  return undefined
}

function outputShape(shape: number[], axes: number[], keepDims: boolean): number[] {
  const sizes = shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
  return keepDims ? sizes : sizes.filter((_, axis) => !axes.includes(axis))
}
