import type { EpochPlan, Logs } from '../../training/epoch-session.ts'

/** Parameters of `fit`, as tfjs-layers hands them to callbacks. */
export interface FitParams {
  epochs?: unknown
  initialEpoch?: unknown
  samples?: unknown
  steps?: unknown
  batchSize?: unknown
}

/** @param countsSamples - ranks may have different numbers of samples then, but not of batches */
export function planOf(params: FitParams, countsSamples: boolean): EpochPlan {
  const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
  const batches = batchesPerEpoch(params)
  return {
    batchesPerEpoch: batches,
    settings: [
      { label: 'the batch size', value: numberOf(params.batchSize) },
      countsSamples
        ? { label: 'the number of batches per epoch', value: batches }
        : { label: 'the number of samples', value: numberOf(params.samples) },
      { label: 'the number of steps per epoch', value: numberOf(params.steps) },
      { label: 'the number of epochs', value: numberOf(params.epochs) },
      { label: 'the initial epoch', value: numberOf(params.initialEpoch) },
    ],
  }
}

/** The samples of a batch, as tfjs-layers reports them at its end. */
export function sampleCountOf(logs: Logs | undefined): number {
  const size = logs?.['size']
  return size !== undefined && Number.isSafeInteger(size) && size > 0 ? size : 1
}

/** Batches that a rank does in an epoch; undefined for a dataset that does not know its length. */
function batchesPerEpoch({ samples, batchSize, steps }: FitParams): number | undefined {
  if (typeof steps === 'number') return steps
  return typeof samples === 'number' && typeof batchSize === 'number' ? Math.ceil(samples / batchSize) : undefined
}
