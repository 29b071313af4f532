import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Data, load } from './_mnist.ts'

const data = await load<Data>('data.mjs')
const { PIXELS, readExamples } = data

const IMAGES = 'train-images-idx3-ubyte'
const LABELS = 'train-labels-idx1-ubyte'

function idx(header: number[], bytes: Uint8Array): Buffer {
  const words = Buffer.alloc(4 * header.length)
  header.forEach((word, i) => words.writeUInt32BE(word, 4 * i))
  return Buffer.concat([words, bytes])
}

/** A folder with `count` images, each filled with its own number. */
function madeUpSplit(t: ExecutionContext, count: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-mnist-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const pixels = new Uint8Array(count * PIXELS).map((_, i) => Math.floor(i / PIXELS))
  writeFileSync(join(folder, IMAGES), idx([2051, count, 28, 28], pixels))
  const labels = new Uint8Array(count).map((_, i) => i % 10)
  writeFileSync(join(folder, LABELS), idx([2049, count], labels))
  return folder
}

test('the shards of all ranks are disjoint and cover the split', async (t) => {
  const folder = madeUpSplit(t, 12)
  const ranges = [0, 1, 2, 3].map((rank) => ({ begin: 3 * rank, end: 3 * rank + 3 }))
  const shards = await Promise.all(ranges.map((range) => readExamples(folder, 'train', range)))
  const seen = shards.flatMap(({ images, count }) =>
    Array.from({ length: count }, (_, i) => [...new Set(images.subarray(i * PIXELS, (i + 1) * PIXELS))]),
  )
  t.deepEqual(
    seen,
    Array.from({ length: 12 }, (_, i) => [i]),
  )
  const labels = shards.flatMap((shard) => [...shard.labels])
  t.deepEqual(labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
})

test('the package holds the published training and test sets', async (t) => {
  const folder = data.locateMnist()
  const train = await readExamples(folder, 'train', { begin: 0, end: 60_000 })
  t.deepEqual([...train.labels.subarray(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
  t.is(train.images.length, 60_000 * PIXELS)
  const ofEachDigit = Array.from({ length: 10 }, (_, digit) => train.labels.filter((label) => label === digit).length)
  t.deepEqual(ofEachDigit, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
  const last = await readExamples(folder, 'test', { begin: 9_990, end: 10_000 })
  t.deepEqual([...last.labels], [7, 8, 9, 0, 1, 2, 3, 4, 5, 6])
  await t.throwsAsync(readExamples(folder, 'test', { begin: 0, end: 10_001 }), { message: /holds 10000 items/ })
})

test('a file that is not what its header must say is refused', async (t) => {
  const range = { begin: 0, end: 4 }
  const cases: [file: string, content: Buffer, message: RegExp][] = [
    [IMAGES, idx([2052, 4, 28, 28], new Uint8Array(4 * PIXELS)), /begins with 2052, not with 2051/],
    [IMAGES, idx([2051, 4, 28, 27], new Uint8Array(4 * PIXELS)), /dimension 2 is 27, expected 28/],
    [IMAGES, idx([2051, 5, 28, 28], new Uint8Array(5 * PIXELS)), /holds 5 images, .* 4 labels/],
    [IMAGES, Buffer.alloc(7), /ends at byte 7, 16 were expected: the file is truncated/],
    [LABELS, idx([2049, 4], Uint8Array.of(1, 2, 10, 4)), /label 2 is 10, not a digit/],
  ]
  for (const [file, content, message] of cases) {
    const folder = madeUpSplit(t, 4)
    writeFileSync(join(folder, file), content)
    await t.throwsAsync(readExamples(folder, 'train', range), { message })
  }
})

test('a truncated file fails the rank whose shard is cut, with the bytes it should have', async (t) => {
  const folder = madeUpSplit(t, 4)
  truncateSync(join(folder, IMAGES), 16 + 3 * PIXELS + 1)
  await t.notThrowsAsync(readExamples(folder, 'train', { begin: 0, end: 3 }))
  const message = `${IMAGES} ends at byte ${16 + 3 * PIXELS + 1}, ${16 + 4 * PIXELS} were expected: the file is truncated.`
  await t.throwsAsync(readExamples(folder, 'train', { begin: 2, end: 4 }), { message })
})

test('a missing file is named', async (t) => {
  const folder = madeUpSplit(t, 4)
  rmSync(join(folder, LABELS))
  await t.throwsAsync(readExamples(folder, 'train', { begin: 0, end: 4 }), { message: /Cannot open .*labels-idx1/ })
})

test('a batch holds the chosen images, scaled to 0..1, and their labels', async (t) => {
  const examples = await readExamples(madeUpSplit(t, 12), 'train', { begin: 6, end: 12 })
  const indices = Uint32Array.of(5, 0)
  const pixels = data.pixelsOf(examples, indices)
  t.deepEqual([...new Set(pixels.subarray(0, PIXELS))], [Math.fround(11 / 255)])
  t.deepEqual([...new Set(pixels.subarray(PIXELS))], [Math.fround(6 / 255)])
  t.deepEqual([...data.labelsOf(examples, indices)], [1, 6])
})

test('the order of the images is a permutation that depends on the seed alone', (t) => {
  for (const seed of [0, 1, 1000, 2 ** 31]) {
    const order = data.shuffledIndices(1000, seed)
    t.deepEqual(
      order.toSorted(),
      Uint32Array.from({ length: 1000 }, (_, i) => i),
    )
    t.deepEqual(order, data.shuffledIndices(1000, seed))
  }
  t.notDeepEqual(data.shuffledIndices(1000, 1), data.shuffledIndices(1000, 2))
  t.is(data.shuffledIndices(0, 1).length, 0)
})
