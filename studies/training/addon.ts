/** The gradients of models, which a crate of this repository computes: crates/adasum-study-models. */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { studyModels } from '../../scripts/lib/study-models.mjs'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface Judged {
  /** The mean cross-entropy. */
  readonly loss: number
  /** How many samples were told rightly. */
  readonly right: number
}

export type ImageModel = 'lenet' | 'residual'

/** Weights lie one segment behind the other; gradients like them. Functions with a target return the loss. */
export interface Addon {
  imageGradient(
    model: ImageModel,
    weights: Float32Array,
    images: Float32Array,
    labels: Int32Array,
    target: Float32Array,
  ): number
  /** `statistics`: those to normalize by; none for those of the batch. */
  judgeImages(
    model: ImageModel,
    weights: Float32Array,
    images: Float32Array,
    labels: Int32Array,
    statistics: Float32Array,
  ): Judged
  imageStatistics(weights: Float32Array, images: Float32Array): Float32Array
  textGradient(
    characterCount: number,
    weights: Float32Array,
    codes: Int32Array,
    following: Int32Array,
    target: Float32Array,
  ): number
  judgeText(characterCount: number, weights: Float32Array, codes: Int32Array, following: Int32Array): Judged
  textFeatures(characterCount: number, weights: Float32Array, codes: Int32Array): Float32Array
}

/** Compiles it the first time. */
export async function loadAddon(): Promise<Addon> {
  const path = await studyModels(ROOT, (text) => void process.stderr.write(`study: ${text}\n`))
  return createRequire(import.meta.url)(path) as Addon
}

/** Compiles it where it is not there, so that processes which load it later need not wait. */
export async function prepareAddon(say: (text: string) => void): Promise<void> {
  await studyModels(ROOT, say)
}
