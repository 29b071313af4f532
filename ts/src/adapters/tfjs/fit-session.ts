/**
 * One call of model.fit on all ranks, as a sequence of collectives that is the same everywhere although each rank
 * knows only itself.
 *
 * Every exchange carries two notes of each rank: where it stands (within its epoch or at the end of it, and whether it
 * wishes to stop) and how many batches of the epoch it has done. No rank leaves its loop by itself (see fit-hooks.ts):
 * the notes with a first wish in them make all ranks leave, after the same batch. A rank at the end of its epoch while
 * others are within theirs has run out of data, which is a mistake.
 *
 * An epoch ends with an exchange unless there is nothing to say: the rank has done all its batches, the last of them
 * exchanged, or all are about to stop. Then, when all callbacks have run, comes a vote for the wishes they made.
 */
import { AdasumError } from '../../errors.ts'
import { OP_CODES } from '../../binding/binding.ts'
import { checkAgreement, type Setting } from '../../training/agreement.ts'
import type { Collectives } from '../../training/collectives.ts'
import type { Exchange, ExchangeOptions, StepReduction } from '../../training/flat-exchange.ts'
import { callOptionsOf } from '../../training/options.ts'
import type { CallOptions } from '../../types.ts'
import { averageNonTrainableWeights, broadcastWeights } from './broadcast-weights.ts'
import type { EpochVoter, FitHooks } from './fit-hooks.ts'
import { trainableVariables, type WeightedModel } from './variables.ts'
import { DeltaRound } from '../../training/delta-round.ts'
import { VariableWeights } from './variable-weights.ts'

/** A tfjs-layers model, as far as training it is concerned. */
export interface TrainableModel extends WeightedModel {
  stopTraining: boolean
}

/** Parameters of `fit`, as tfjs-layers hands them to callbacks. */
export interface FitParams {
  epochs?: unknown
  initialEpoch?: unknown
  samples?: unknown
  steps?: unknown
  batchSize?: unknown
}

export type Logs = Record<string, number>

/** A model that is trained together with those of other ranks. */
export interface HookedModel {
  model: TrainableModel
  hooks: FitHooks
}

export interface SessionOptions extends ExchangeOptions {
  localSteps: number
  onReduction: ((reduction: StepReduction) => void) | undefined
}

const GOING_ON = 0
const WANTS_TO_STOP = 1
const AT_EPOCH_END = 2
const NOTES_PER_RANK = 2

export class FitSession implements EpochVoter {
  readonly #model: TrainableModel
  readonly #hooks: FitHooks
  readonly #comm: Collectives
  readonly #options: SessionOptions
  readonly #call: CallOptions
  #round: DeltaRound | undefined
  #batchesPerEpoch: number | undefined
  #pendingBatches = 0
  #epochBatches = 0
  #epochs = 0
  /** All ranks have learnt that this epoch is the last. */
  #hasAgreedToStop = false

  constructor({ model, hooks }: HookedModel, comm: Collectives, options: SessionOptions) {
    this.#model = model
    this.#hooks = hooks
    this.#comm = comm
    this.#options = options
    this.#call = callOptionsOf(options)
  }

  async begin(params: FitParams): Promise<void> {
    this.#batchesPerEpoch = batchesPerEpoch(params)
    this.#pendingBatches = this.#epochBatches = this.#epochs = 0
    this.#hasAgreedToStop = false
    this.#hooks.begin(this)
    await this.#checkSettings(params)
    await broadcastWeights(this.#model, this.#comm, this.#call)
    const { localSteps: _steps, onReduction: _callback, ...exchange } = this.#options
    const trainable = trainableVariables(this.#model.trainableWeights)
    this.#round = new DeltaRound(this.#comm, new VariableWeights(trainable), exchange, NOTES_PER_RANK)
  }

  async beginEpoch(): Promise<void> {
    this.#epochBatches = 0
  }

  async beginBatch(): Promise<void> {
    if (this.#pendingBatches === 0) await this.#running().begin()
  }

  async endBatch(): Promise<void> {
    this.#pendingBatches++
    this.#epochBatches++
    if (this.#pendingBatches >= this.#options.localSteps) await this.#exchange(GOING_ON)
  }

  async endEpoch(logs: Logs): Promise<void> {
    const hasNews = this.#pendingBatches > 0 || this.#epochBatches !== this.#batchesPerEpoch
    if (hasNews && !this.#hasAgreedToStop) {
      if (this.#pendingBatches === 0) await this.#running().begin()
      await this.#exchange(AT_EPOCH_END)
    }
    await averageNonTrainableWeights(this.#model, this.#comm, this.#call)
    await this.#averageLogs(logs)
    this.#epochs++
  }

  /** The last word of an epoch: stops all ranks if any of them wishes to since the last exchange. */
  async vote(): Promise<void> {
    if (this.#hasAgreedToStop) return
    // Apart from the weights: no rank can be left out of it (onNonFinite: 'skip').
    const votes = Float32Array.of(this.#hooks.isStopWanted ? 1 : 0)
    await this.#comm.allReduce(votes, { op: 'sum', ...this.#call })
    if (votes[0]! > 0) this.#stop()
  }

  /** A rank that went on training would be in another collective now: the check fails at once, on all ranks. */
  async end(): Promise<void> {
    const settings = [{ label: 'the number of epochs done', value: this.#epochs }]
    const advice = 'Stop training by model.stopTraining alone.'
    await checkAgreement(settings, { comm: this.#comm, caller: 'distribute()', advice, call: this.#call })
  }

  #running(): DeltaRound {
    if (this.#round) return this.#round
    throw new AdasumError(
      'ERR_NOT_READY',
      'distribute(): a batch came before onTrainBegin. Pass all of its callbacks to fit.',
    )
  }

  async #exchange(place: typeof GOING_ON | typeof AT_EPOCH_END): Promise<void> {
    const standing = place | (this.#hooks.isStopWanted ? WANTS_TO_STOP : 0)
    const { reduction, notes } = await this.#running().combine([standing, this.#epochBatches])
    this.#pendingBatches = 0
    this.#readNotes(notes)
    this.#options.onReduction?.(reduction)
  }

  #readNotes(notes: Exchange['notes']): void {
    const known = notes.flatMap((note, rank) => (note ? [{ rank, standing: note[0]!, batches: note[1]! }] : []))
    const ended = known.find(({ standing }) => standing & AT_EPOCH_END)
    const ongoing = known.find(({ standing }) => !(standing & AT_EPOCH_END))
    if (ended && ongoing) {
      const numbers = `rank ${ended.rank} ended its epoch after ${ended.batches} batches, rank ${ongoing.rank} is at batch ${ongoing.batches}`
      throw new AdasumError('ERR_MISMATCH', `distribute(): ${numbers}. Give every rank the same number of batches.`)
    }
    if (known.some(({ standing }) => standing & WANTS_TO_STOP)) this.#stop()
  }

  #stop(): void {
    this.#hasAgreedToStop = true
    this.#hooks.stop()
  }

  async #checkSettings(params: FitParams): Promise<void> {
    const known = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
    const settings: Setting[] = [
      { label: 'op', value: OP_CODES[this.#options.op], choices: Object.keys(OP_CODES) },
      { label: 'localSteps', value: this.#options.localSteps },
      { label: 'the number of samples', value: known(params.samples) },
      { label: 'the batch size', value: known(params.batchSize) },
      { label: 'the number of steps per epoch', value: known(params.steps) },
      { label: 'the number of epochs', value: known(params.epochs) },
      { label: 'the initial epoch', value: known(params.initialEpoch) },
    ]
    const advice = 'Give fit() shards of equal length (comm.shard) and the same arguments on every rank.'
    await checkAgreement(settings, { comm: this.#comm, caller: 'distribute()', advice, call: this.#call })
  }

  /** Averages the numbers in place. */
  async #averageLogs(logs: Logs): Promise<void> {
    const keys = Object.keys(logs)
      .filter((key) => typeof logs[key] === 'number')
      .sort()
    if (keys.length === 0) return
    const arrays = Object.fromEntries(keys.map((key) => [key, Float64Array.of(logs[key]!)]))
    await this.#comm.allReduce(arrays, { op: 'average', ...this.#call })
    for (const key of keys) logs[key] = arrays[key]![0]!
  }
}

/** Batches that a rank does in an epoch; undefined for a dataset that does not know its length. */
function batchesPerEpoch({ samples, batchSize, steps }: FitParams): number | undefined {
  if (typeof steps === 'number') return steps
  return typeof samples === 'number' && typeof batchSize === 'number' ? Math.ceil(samples / batchSize) : undefined
}
