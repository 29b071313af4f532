/** What training sees of a model, whatever framework computes it. */
import type { OptimizerSegment } from 'adasum/optim'
import type { Cell } from './cell.ts'
import { normalNumbers } from './random.ts'

export interface Model {
  readonly segments: readonly OptimizerSegment[]
  readonly elementCount: number
  /** The accuracy of guessing. */
  readonly chance: number
  /** Weights at the start. */
  initial(seed: number): Promise<Float32Array>
  /** Takes weights over, for the calls that follow. */
  load(weights: Float32Array): void
  /**
   * The gradient of the mean loss over training samples.
   *
   * @param indices - from 0 to before `trainingCount`
   * @param target - receives it
   * @returns the loss
   */
  gradient(indices: Uint32Array, target: Float32Array): Promise<number>
  /** Accuracy and mean loss on the first samples of a split. */
  evaluate(split: Cell['split'], count: number): Promise<{ accuracy: number; loss: number }>
  /**
   * The accuracy of a linear probe on the frozen model, where there is another question to ask of its samples.
   *
   * @param count - samples of the test set, and as many that are held out, on which the probe is trained
   * @param together - how many samples with the same answer are asked about at once
   */
  probe?(count: number, together: number): Promise<number>
}

/** Training samples that no training sees: rates are chosen on them. */
export const HELD_OUT = 5000

/** The model of a cell, in this process. */
export async function makeModel({ model, data }: Cell): Promise<Model> {
  switch (model) {
    case 'lenet':
    case 'residual':
      return (await import('./images-model.ts')).makeImageModel(model, data)
    case 'characters':
      return (await import('./characters.ts')).makeCharacters()
    case 'plain':
      return (await import('./plain.ts')).makePlain()
  }
}

/** Where the segments begin, and at the end the element count. */
export function offsetsOf(segments: readonly OptimizerSegment[]): number[] {
  const offsets = [0]
  for (const { shape } of segments) offsets.push(offsets.at(-1)! + shape.reduce((product, size) => product * size, 1))
  return offsets
}

/** By He and others (arXiv 1502.01852) for kernels, which a rectifier follows; gamma 1, other vectors 0. */
export function heNormal(segments: readonly { name: string; shape: number[] }[], seed: number): Float32Array {
  const next = normalNumbers(seed)
  const parts = segments.map(({ name, shape }) => {
    const size = shape.reduce((product, length) => product * length, 1)
    if (shape.length === 1) return new Array<number>(size).fill(name.endsWith('gamma') ? 1 : 0)
    const fanIn = size / shape.at(-1)!
    return Array.from({ length: size }, () => next() * Math.sqrt(2 / fanIn))
  })
  return Float32Array.from(parts.flat())
}
