/** What one run of training is: plain data, by which it is found again. */

/** `adascale` combines pairs with 1 / (1 + cos); `damped` is Adasum with kappa 1/2. */
export type StudyOp = 'average' | 'sum' | 'adasum' | 'damped' | 'adascale' | 'adacons' | 'gaf'

export interface Cell {
  /** `train`: train, then evaluate. `emulation`: how far combined steps are from a sequence, while one worker trains. */
  readonly task: 'train' | 'emulation'
  readonly model: 'lenet' | 'residual' | 'characters' | 'plain'
  readonly data: 'fashion-mnist' | 'mnist' | 'austen' | 'made-up'
  readonly optimizer: 'momentum' | 'adam' | 'lamb' | 'sgd'
  readonly op: StudyOp
  /** What is combined: gradients, with one optimizer behind them, or deltas, with an optimizer for each worker. */
  readonly of: 'gradients' | 'deltas'
  /** A number, or several for parts of equal length. */
  readonly workers: number | readonly number[]
  /** One worker combines so many batches of its own by `op` before each step. */
  readonly microBatches?: number
  /** Samples of a worker's batch. */
  readonly localBatch: number
  /** Samples that all workers see together, epochs included. */
  readonly samples: number
  /** Samples among which they are. */
  readonly trainingCount: number
  /** The highest rate of the schedule. */
  readonly rate: number
  /** The share of the steps in which the rate rises. */
  readonly warmup: number
  /** How the rate falls: linearly to 0, or at once to a tenth after one half and three quarters of the steps. */
  readonly decay: 'linear' | 'drops' | 'none'
  readonly seed: number
  /** On which samples it is judged. Rates are chosen by `validation`, which `trainingCount` does not reach. */
  readonly split: 'validation' | 'test'
  /** How many samples of the split; the first ones. */
  readonly evaluationCount: number
  /** Whether the lengths of steps are kept, by layer. */
  readonly isLogged?: boolean
  /** Whether the loss of each step is kept. */
  readonly keepsLosses?: boolean
  /** A linear probe is trained on the frozen model at the end, and sees the mean of so many pieces of text at once. */
  readonly probePieces?: number
  /** What the first worker sends in place of its own: noise of the same length, or the opposite. */
  readonly badWorker?: 'noise' | 'opposite'
  /** In which format workers exchange, each in a process of its own; default f32, in whatever way. */
  readonly precision?: 'bf16' | 'int8'
}

/** One logged step. */
export interface LogPoint {
  /** From 0 to 1. */
  readonly progress: number
  /** By layer: |result|² / sum |input|². */
  readonly orthogonality: readonly number[]
  /** By layer: the length of the step over that of the average. */
  readonly step: readonly number[]
  /** By layer: |mean|² over the variance of one input, both estimated without bias from the inputs. */
  readonly signal: readonly number[]
}

export interface Result {
  /** The share of samples that are classified rightly; for a run that diverged that of guessing. */
  readonly accuracy: number
  /** Mean loss on the split; null for a run that diverged. */
  readonly loss: number | null
  readonly diverged: boolean
  readonly steps: number
  readonly seconds: number
  /** A hash of the weights at the end. */
  readonly sha256: string
  /** Accuracy of the probe; null if the run diverged. */
  readonly probe?: number | null
  readonly log?: readonly LogPoint[]
  readonly losses?: readonly number[]
  readonly emulation?: readonly EmulationPoint[]
}

/** How far a combined step is from the sequence of the same batches. */
export interface EmulationPoint {
  readonly progress: number
  readonly workers: number
  /** By operator: |combined - sequence| / |sequence|. */
  readonly distance: Readonly<Record<string, number>>
}

/** The numbers of workers one after the other, with the steps that each number takes. */
export function phasesOf({
  workers,
  localBatch,
  samples,
  microBatches = 1,
}: Pick<Cell, 'workers' | 'localBatch' | 'samples' | 'microBatches'>): { workers: number; steps: number }[] {
  const counts = typeof workers === 'number' ? [workers] : workers
  const part = samples / counts.length
  return counts.map((count) => ({
    workers: count,
    steps: Math.max(1, Math.floor(part / (localBatch * count * microBatches))),
  }))
}
