/**
 * Gradient of a 2-D convolution with respect to its filter, by the convolution kernel itself.
 *
 * With x [b, h, w, ci], dy [b, oh, ow, co], strides s and padding p, the gradient is
 *
 *     dw[u, v, i, o] = sum over b, r, c of  x[b, r s + u - p, c s + v - p, i]  dy[b, r, c, o]
 *
 * which is again a convolution once channels and batch change places: the input is x as [ci, h, w, b], the filter is
 * dy as [oh, ow, b, co], the dilation is s, and the output [ci, kh, kw, co] is dw up to the order of its axes. So
 * there is no im2col: XNNPACK reads the shifted windows where they lie, and the batch, its innermost axis, is the
 * vector that it streams.
 *
 * XNNPACK adds up each output in one f32 accumulator. Over a whole batch that is tens of thousands of terms (50,176 for
 * LeNet's first layer at batch 64), and the error grows with their square root, to 4e-6 for random signs. The sum is
 * therefore cut into tiles of at most `TILE_TERMS` terms, whose results are added afterwards: 5e-7, at the same speed.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core'
import { AdasumError } from '../../../errors.ts'
import { convolutionGeometry, free, runKernel, type Geometry, type KernelCall, type WasmBackend } from './runtime.ts'

const TILE_TERMS = 1024
/** Images per tile: long enough for the SIMD loop over them, short enough to leave room for a row of pixels. */
const TILE_IMAGES = 32

/** A box of dy: images, rows and columns. */
interface Tile {
  image: number
  images: number
  row: number
  rows: number
  column: number
  columns: number
}

export function conv2dBackpropFilter({ backend, inputs, attrs }: KernelCall): TensorInfo {
  const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo }
  if (attrs['dataFormat'] === 'NCHW') {
    throw new AdasumError('ERR_UNSUPPORTED', 'Conv2DBackpropFilter on wasm takes NHWC, not NCHW. Use channelsLast.')
  }
  const geometry = convolutionGeometry(x.shape, attrs['filterShape'] as number[], attrs)
  const { inChannels, filterHeight, filterWidth, outChannels } = geometry
  const sums = new Float64Array(inChannels * filterHeight * filterWidth * outChannels)
  for (let image = 0; image < geometry.batch; image += TILE_IMAGES) {
    const images = Math.min(TILE_IMAGES, geometry.batch - image)
    // Batch innermost in x, next to innermost in dy.
    const channelsFirst = transposeImages(backend, x, image, images, [3, 1, 2, 0])
    const filters = transposeImages(backend, dy, image, images, [1, 2, 0, 3])
    for (const tile of tilesOf(geometry, image, images)) {
      const part = partialGradient(backend, geometry, channelsFirst, filters, tile)
      const values = backend.typedArrayFromHeap(part)
      for (let i = 0; i < sums.length; i++) sums[i]! += values[i]!
      free(backend, part)
    }
    free(backend, channelsFirst, filters)
  }
  const total = backend.makeOutput([inChannels, filterHeight, filterWidth, outChannels], 'float32')
  backend.typedArrayFromHeap(total).set(sums)
  const gradient = runKernel('Transpose', backend, { x: total }, { perm: [1, 2, 0, 3] })
  free(backend, total)
  return gradient
}

function transposeImages(
  backend: WasmBackend,
  tensor: TensorInfo,
  image: number,
  images: number,
  perm: number[],
): TensorInfo {
  const [batch, ...rest] = tensor.shape as [number, ...number[]]
  if (images === batch) return runKernel('Transpose', backend, { x: tensor }, { perm })
  const part = backend.makeOutput([images, ...rest], 'float32')
  const perImage = rest.reduce((product, size) => product * size, 1)
  const source = backend.typedArrayFromHeap(tensor).subarray(image * perImage, (image + images) * perImage)
  backend.typedArrayFromHeap(part).set(source)
  const transposed = runKernel('Transpose', backend, { x: part }, { perm })
  free(backend, part)
  return transposed
}

function* tilesOf({ outHeight, outWidth }: Geometry, image: number, images: number): Generator<Tile> {
  const columnsPerTile = Math.min(outWidth, Math.max(1, Math.floor(TILE_TERMS / images)))
  const rowsPerTile = Math.min(outHeight, Math.max(1, Math.floor(TILE_TERMS / (images * columnsPerTile))))
  for (let row = 0; row < outHeight; row += rowsPerTile) {
    for (let column = 0; column < outWidth; column += columnsPerTile) {
      const rows = Math.min(rowsPerTile, outHeight - row)
      const columns = Math.min(columnsPerTile, outWidth - column)
      yield { image, images, row, rows, column, columns }
    }
  }
}

/** The tile's part of the gradient, [ci, kh, kw, co]. */
function partialGradient(
  backend: WasmBackend,
  geometry: Geometry,
  channelsFirst: TensorInfo,
  filters: TensorInfo,
  tile: Tile,
): TensorInfo {
  const window = inputWindow(backend, geometry, channelsFirst, tile)
  const filter = filterWindow(backend, geometry, filters, tile)
  const { strideHeight, strideWidth } = geometry
  const part = runKernel(
    'Conv2D',
    backend,
    { x: window, filter },
    { strides: 1, dilations: [strideHeight, strideWidth], pad: 'valid', dataFormat: 'NHWC' },
  )
  free(backend, window, filter)
  return part
}

/** What the tile's pixels of dy have seen of x, zeros where that was padding: [ci, height, width, images]. */
function inputWindow(backend: WasmBackend, geometry: Geometry, channelsFirst: TensorInfo, tile: Tile): TensorInfo {
  const { inHeight, inWidth, inChannels, strideHeight, strideWidth, filterHeight, filterWidth, pad } = geometry
  const height = (tile.rows - 1) * strideHeight + filterHeight
  const width = (tile.columns - 1) * strideWidth + filterWidth
  const top = tile.row * strideHeight - pad.top
  const left = tile.column * strideWidth - pad.left
  const window = backend.makeOutput([inChannels, height, width, tile.images], 'float32')
  const source = backend.typedArrayFromHeap(channelsFirst)
  const target = backend.typedArrayFromHeap(window).fill(0)
  const firstColumn = Math.max(0, left)
  const lastColumn = Math.min(inWidth, left + width)
  if (lastColumn <= firstColumn) return window
  const rowLength = (lastColumn - firstColumn) * tile.images
  for (let channel = 0; channel < inChannels; channel++) {
    for (let row = Math.max(0, top); row < Math.min(inHeight, top + height); row++) {
      const from = ((channel * inHeight + row) * inWidth + firstColumn) * tile.images
      const to = ((channel * height + row - top) * width + firstColumn - left) * tile.images
      target.set(source.subarray(from, from + rowLength), to)
    }
  }
  return window
}

/** The tile of dy as a filter: [rows, columns, images, co]. */
function filterWindow(backend: WasmBackend, geometry: Geometry, filters: TensorInfo, tile: Tile): TensorInfo {
  const { outWidth, outChannels } = geometry
  const window = backend.makeOutput([tile.rows, tile.columns, tile.images, outChannels], 'float32')
  const source = backend.typedArrayFromHeap(filters)
  const target = backend.typedArrayFromHeap(window)
  const perPixel = tile.images * outChannels
  const rowLength = tile.columns * perPixel
  for (let row = 0; row < tile.rows; row++) {
    const from = ((tile.row + row) * outWidth + tile.column) * perPixel
    target.set(source.subarray(from, from + rowLength), row * rowLength)
  }
  return window
}
