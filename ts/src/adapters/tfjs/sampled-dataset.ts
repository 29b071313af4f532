import { AdasumError, inspect } from '../../errors.ts'
import { kindOf } from '../../tensor/check.ts'
import type { Sampler } from '../../training/sampler.ts'

/** A dataset as `model.fitDataset` takes it; tfjs-data is not needed for it. */
export interface SampledDataset<T> {
  /** The rest of the sampler's epoch. */
  iterator(): Promise<{
    /** The next batch. */
    next(): Promise<IteratorResult<T, null>>
  }>
  /** Not a number, by which TensorFlow.js knows that the length is open: an epoch that is resumed has fewer batches. */
  readonly size: number
}

/**
 * The batches of a sampler as a dataset, one epoch of the sampler for each of `model.fitDataset`.
 *
 * @param batchOf - makes the tensors of some samples, such as `{ xs: tf.gather(xs, indices), ys: tf.gather(ys, indices) }`;
 *   fitDataset disposes of them. Called with the indices of this rank's samples, in their order
 * @throws AdasumError ERR_ARGUMENT for what is no sampler or no function
 */
export function sampledDataset<T>(
  sampler: Sampler,
  batchOf: (indices: Int32Array) => T | PromiseLike<T>,
): SampledDataset<T> {
  if (typeof (sampler as Partial<Sampler> | undefined)?.next !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `expected a sampler; got ${kindOf(sampler)}. Pass what sampler() gives.`)
  if (typeof batchOf !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `batchOf is ${inspect(batchOf)}; it must be a function of indices.`)
  const next = async (): Promise<IteratorResult<T, null>> => {
    const indices = sampler.next()
    return indices === undefined ? { value: null, done: true } : { value: await batchOf(indices), done: false }
  }
  return { iterator: async () => ({ next }), size: NaN }
}
