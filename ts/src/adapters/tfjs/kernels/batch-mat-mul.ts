/**
 * Matrix product. The stock kernel hands a product to XNNPACK only if neither operand is transposed and there is one
 * matrix on each side; everything else goes through plain loops, seven times slower. The backward pass of a dense
 * layer is two transposed products, attention is a batch of them: here operands are transposed first, and batches are
 * either folded into the rows of one product or taken matrix by matrix.
 */
import { broadcast_util, util, type TensorInfo } from '@tensorflow/tfjs-core'
import { free, reshape, runKernel, type Kernel, type KernelCall, type WasmBackend } from './runtime.ts'

/** Multiply-adds from which a matrix of a batch is worth a call of its own: below, copies and set-up cost as much. */
const MIN_PRODUCT_SIZE = 1 << 17

export function batchMatMul(stock: Kernel): Kernel {
  return (call: KernelCall): TensorInfo => {
    const { backend, inputs, attrs } = call
    const { a, b } = inputs as { a: TensorInfo; b: TensorInfo }
    const plan = planProduct(a, b, attrs['transposeA'] === true, attrs['transposeB'] === true)
    if (plan === undefined) return stock(call)
    const left = attrs['transposeA'] === true ? transpose(backend, a) : a
    const right = attrs['transposeB'] === true ? transpose(backend, b) : b
    const product = plan.isFolded
      ? foldedProduct(stock, backend, left, right, plan)
      : productOfEach(stock, backend, left, right, plan)
    if (left !== a) free(backend, left)
    if (right !== b) free(backend, right)
    return product
  }
}

interface ProductPlan {
  /** b is one matrix: the batch of a becomes rows. */
  isFolded: boolean
  batch: number
  rows: number
  inner: number
  columns: number
  outShape: number[]
}

/** How to compute the product; undefined where the stock kernel does as well, or has to throw. */
function planProduct(a: TensorInfo, b: TensorInfo, transposeA: boolean, transposeB: boolean): ProductPlan | undefined {
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return undefined
  const [outerA, outerB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)]
  const [batchA, batchB] = [util.sizeFromShape(outerA), util.sizeFromShape(outerB)]
  const [rows, inner] = lastTwo(a.shape, transposeA)
  const [innerB, columns] = lastTwo(b.shape, transposeB)
  if (inner !== innerB || batchA * batchB * rows * inner * columns === 0) return undefined
  const outShape = [...broadcast_util.assertAndGetBroadcastShape(outerA, outerB), rows, columns]
  if (batchB === 1) return { isFolded: true, batch: batchA, rows, inner, columns, outShape }
  const isWorthIt = util.arraysEqual(outerA, outerB) && rows * inner * columns >= MIN_PRODUCT_SIZE
  return isWorthIt ? { isFolded: false, batch: batchA, rows, inner, columns, outShape } : undefined
}

function lastTwo(shape: number[], isTransposed: boolean): [number, number] {
  const [first, second] = shape.slice(-2) as [number, number]
  return isTransposed ? [second, first] : [first, second]
}

function transpose(backend: WasmBackend, x: TensorInfo): TensorInfo {
  const perm = x.shape.map((_, axis) => axis)
  perm.push(perm.pop()!, perm.pop()!)
  return runKernel('Transpose', backend, { x }, { perm })
}

function plainProduct(stock: Kernel, backend: WasmBackend, a: TensorInfo, b: TensorInfo): TensorInfo {
  return stock({ backend, inputs: { a, b }, attrs: { transposeA: false, transposeB: false } })
}

function foldedProduct(
  stock: Kernel,
  backend: WasmBackend,
  a: TensorInfo,
  b: TensorInfo,
  plan: ProductPlan,
): TensorInfo {
  const rows = reshape(a, [plan.batch * plan.rows, plan.inner])
  const product = plainProduct(stock, backend, rows, reshape(b, [plan.inner, plan.columns]))
  product.shape = plan.outShape
  return product
}

function productOfEach(
  stock: Kernel,
  backend: WasmBackend,
  a: TensorInfo,
  b: TensorInfo,
  plan: ProductPlan,
): TensorInfo {
  const { batch, rows, inner, columns } = plan
  const out = backend.makeOutput(plan.outShape, 'float32')
  for (let index = 0; index < batch; index++) {
    const left = matrixOf(backend, a, index, [rows, inner])
    const right = matrixOf(backend, b, index, [inner, columns])
    const product = plainProduct(stock, backend, left, right)
    backend.typedArrayFromHeap(out).set(backend.typedArrayFromHeap(product), index * rows * columns)
    free(backend, left, right, product)
  }
  return out
}

function matrixOf(backend: WasmBackend, x: TensorInfo, index: number, [height, width]: [number, number]): TensorInfo {
  const matrix = backend.makeOutput([height, width], 'float32')
  const source = backend.typedArrayFromHeap(x).subarray(index * height * width, (index + 1) * height * width)
  backend.typedArrayFromHeap(matrix).set(source)
  return matrix
}
