import type { EpochPlan } from '../../training/epoch-session.ts'

/** Parameters of `fit`, as tfjs-layers hands them to callbacks. */
export interface FitParams {
  epochs?: unknown
  initialEpoch?: unknown
  samples?: unknown
  steps?: unknown
  batchSize?: unknown
}

export function planOf(params: FitParams): EpochPlan {
  const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
  return {
    batchesPerEpoch: batchesPerEpoch(params),
    settings: [
      { label: 'the number of samples', value: numberOf(params.samples) },
      { label: 'the batch size', value: numberOf(params.batchSize) },
      { label: 'the number of steps per epoch', value: numberOf(params.steps) },
      { label: 'the number of epochs', value: numberOf(params.epochs) },
      { label: 'the initial epoch', value: numberOf(params.initialEpoch) },
    ],
  }
}

/** Batches that a rank does in an epoch; undefined for a dataset that does not know its length. */
function batchesPerEpoch({ samples, batchSize, steps }: FitParams): number | undefined {
  if (typeof steps === 'number') return steps
  return typeof samples === 'number' && typeof batchSize === 'number' ? Math.ceil(samples / batchSize) : undefined
}
