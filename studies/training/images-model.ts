/** Models of images: LeNet-5, and a small residual network with batch norm. */
import { type ImageModel, type Judged, loadAddon } from './addon.ts'
import type { Cell } from './cell.ts'
import { type Examples, mnist, readImages } from './images.ts'
import { type Model, heNormal, offsetsOf } from './model.ts'

const CLASSES = 10
const EVALUATION_BATCH = 100
/** Images of which the statistics for an evaluation are taken, and how many at once. */
const [STATISTICS_COUNT, STATISTICS_BATCH] = [2000, 500]
const [NARROW, WIDE] = [8, 16]

type Shapes = readonly { readonly name: string; readonly shape: number[] }[]

export const LENET: Shapes = [
  ...biased('conv1', [5, 5, 1, 6]),
  ...biased('conv2', [5, 5, 6, 16]),
  ...biased('dense1', [400, 120]),
  ...biased('dense2', [120, 84]),
  ...biased('output', [84, CLASSES]),
]

export const RESIDUAL: Shapes = [
  ...normalized('stem', [3, 3, 1, NARROW]),
  ...normalized('narrow1', [3, 3, NARROW, NARROW]),
  ...normalized('narrow2', [3, 3, NARROW, NARROW]),
  ...normalized('halving1', [3, 3, NARROW, WIDE]),
  ...normalized('halving2', [3, 3, WIDE, WIDE]),
  ...normalized('shortcut', [1, 1, NARROW, WIDE]),
  ...normalized('wide1', [3, 3, WIDE, WIDE]),
  ...normalized('wide2', [3, 3, WIDE, WIDE]),
  ...biased('classes', [WIDE, CLASSES]),
]

function biased(name: string, shape: number[]): Shapes {
  return [
    { name, shape },
    { name: `${name}/bias`, shape: [shape.at(-1)!] },
  ]
}

/** With batch norm behind it. Workers normalize by their own batches, as processes do that exchange no statistics. */
function normalized(name: string, shape: number[]): Shapes {
  const channels = [shape.at(-1)!]
  return [
    { name, shape },
    { name: `${name}/gamma`, shape: channels },
    { name: `${name}/beta`, shape: channels },
  ]
}

export async function makeImageModel(name: ImageModel, data: Cell['data']): Promise<Model> {
  const addon = await loadAddon()
  const splits = await readImages(data)
  const segments = name === 'lenet' ? LENET : RESIDUAL
  let weights = new Float32Array()
  /** Running means would depend on which worker kept them: these are of fixed images, at the weights of the end. */
  const statistics = (): Float32Array => {
    if (name === 'lenet') return new Float32Array()
    const batches = batchesOf(splits.training, STATISTICS_COUNT, STATISTICS_BATCH)
    return meanOf([...batches].map(({ images }) => addon.imageStatistics(weights, images)))
  }
  return {
    segments,
    elementCount: offsetsOf(segments).at(-1)!,
    chance: 1 / CLASSES,
    initial: async (seed) => heNormal(segments, seed),
    load: (given) => void (weights = given.slice()),
    async gradient(indices, target) {
      const { images, labels } = batchOf(splits.training, indices)
      return addon.imageGradient(name, weights, images, labels, target)
    },
    async evaluate(split, count) {
      const known = statistics()
      const judge = ({ images, labels }: Batch): Judged => addon.judgeImages(name, weights, images, labels, known)
      return evaluateOn(batchesOf(splits[split], count, EVALUATION_BATCH), count, judge)
    },
  }
}

interface Batch {
  /** [labels, 28, 28] */
  readonly images: Float32Array
  readonly labels: Int32Array
}

function batchOf(examples: Examples, indices: Uint32Array): Batch {
  return { images: mnist.pixelsOf(examples, indices), labels: mnist.labelsOf(examples, indices) }
}

/** The first `count` images, so many at once. */
function* batchesOf(examples: Examples, count: number, size: number): Generator<Batch> {
  for (let begin = 0; begin < count; begin += size) {
    const length = Math.min(size, count - begin)
    yield batchOf(
      examples,
      Uint32Array.from({ length }, (_, index) => begin + index),
    )
  }
}

function evaluateOn(
  batches: Iterable<Batch>,
  count: number,
  judge: (batch: Batch) => Judged,
): { accuracy: number; loss: number } {
  let [right, loss] = [0, 0]
  for (const batch of batches) {
    const judged = judge(batch)
    right += judged.right
    loss += judged.loss * batch.labels.length
  }
  return { accuracy: right / count, loss: loss / count }
}

function meanOf(vectors: readonly Float32Array[]): Float32Array {
  return vectors[0]!.map((_, index) => vectors.reduce((sum, vector) => sum + vector[index]!, 0) / vectors.length)
}
