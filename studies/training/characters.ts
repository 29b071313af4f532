/**
 * A transformer that predicts the next character, of the sizes of examples/characters: 64 wide, two layers of four heads, 64
 * characters to look back.
 */
import { type Addon, loadAddon } from './addon.ts'
import type { Cell } from './cell.ts'
import { type Model, offsetsOf } from './model.ts'
import { type Labelled, meansOf, probeAccuracy } from './probe.ts'
import { normalNumbers } from './random.ts'
import { type Pieces, readPieces } from './text.ts'

const CONTEXT = 64
const WIDTH = 64
const LAYERS = 2
const EVALUATION_BATCH = 25

export async function makeCharacters(): Promise<Model> {
  const addon = await loadAddon()
  const pieces = await readPieces(CONTEXT)
  const { characterCount } = pieces
  const segments = segmentsFor(characterCount)
  let weights = new Float32Array()
  return {
    segments,
    elementCount: offsetsOf(segments).at(-1)!,
    chance: 1 / characterCount,
    async initial(seed) {
      const next = normalNumbers(seed)
      const parts = segments.map(({ shape: [rows, columns] }) =>
        Array.from({ length: rows! * columns! }, () => next() / Math.sqrt(rows!)),
      )
      return Float32Array.from(parts.flat())
    },
    load: (given) => void (weights = given.slice()),
    async gradient(indices, target) {
      const { inputs, targets } = pieces.take('training', indices)
      return addon.textGradient(characterCount, weights, inputs, targets, target)
    },
    evaluate: async (split, count) => evaluate(addon, weights, pieces, split, count),
    async probe(count, together) {
      const [training, test] = (['validation', 'test'] as const).map((split) =>
        meansOf(novelsBy(addon, weights, pieces, split, count), WIDTH, together),
      )
      return probeAccuracy(training!, test!, WIDTH, pieces.novelCount)
    },
  }
}

export function segmentsFor(characterCount: number): { name: string; shape: number[] }[] {
  const layers = Array.from({ length: LAYERS }, (_, layer) => [
    { name: `attention${layer}`, shape: [WIDTH, 3 * WIDTH] },
    { name: `output${layer}`, shape: [WIDTH, WIDTH] },
    { name: `up${layer}`, shape: [WIDTH, 4 * WIDTH] },
    { name: `down${layer}`, shape: [4 * WIDTH, WIDTH] },
  ])
  return [
    { name: 'characters', shape: [characterCount, WIDTH] },
    { name: 'positions', shape: [CONTEXT, WIDTH] },
    ...layers.flat(),
    { name: 'logits', shape: [WIDTH, characterCount] },
  ]
}

/** The first `count` samples, a few at once. */
function* batchesOf(count: number): Generator<Uint32Array> {
  for (let begin = 0; begin < count; begin += EVALUATION_BATCH) {
    const length = Math.min(EVALUATION_BATCH, count - begin)
    yield Uint32Array.from({ length }, (_, index) => begin + index)
  }
}

function evaluate(
  addon: Addon,
  weights: Float32Array,
  pieces: Pieces,
  split: Cell['split'],
  count: number,
): { accuracy: number; loss: number } {
  let [right, loss] = [0, 0]
  for (const indices of batchesOf(count)) {
    const { inputs, targets } = pieces.take(split, indices)
    const judged = addon.judgeText(pieces.characterCount, weights, inputs, targets)
    right += judged.right
    loss += judged.loss * indices.length
  }
  return { accuracy: right / (count * CONTEXT), loss: loss / count }
}

/** The mean features of pieces, and the novels that they are from. */
function novelsBy(
  addon: Addon,
  weights: Float32Array,
  pieces: Pieces,
  split: 'validation' | 'test',
  count: number,
): Labelled {
  const features = new Float32Array(count * WIDTH)
  for (const indices of batchesOf(count)) {
    const { inputs } = pieces.take(split, indices)
    const values = addon.textFeatures(pieces.characterCount, weights, inputs)
    const begin = indices[0]! * WIDTH
    values.forEach((value, index) => {
      const piece = Math.floor(index / (CONTEXT * WIDTH))
      features[begin + piece * WIDTH + (index % WIDTH)]! += value / CONTEXT
    })
  }
  const all = Uint32Array.from({ length: count }, (_, index) => index)
  return { features, labels: pieces.novelsOf(split, all) }
}
