/**
 * One call of model.fit on all ranks, as a sequence of collectives that is the same everywhere although each rank
 * knows only itself.
 *
 * Every exchange carries two notes of each rank: where it stands (going on, wants to stop, at the end of its epoch) and
 * how many batches of the epoch it has done. A rank that leaves an epoch early, because a callback set
 * model.stopTraining, takes part in the others' next exchange from its onEpochEnd; its note makes them leave as well.
 * A rank that leaves because its data has run out while others go on is a mistake, which the same notes show.
 *
 * An epoch ends with an exchange unless there is nothing to say: the rank has done all its batches, the last of them
 * exchanged. Ranks that stop early are never in that state, and find the others in an exchange of theirs.
 */
import { AdasumError } from '../../errors.ts'
import { OP_CODES } from '../../binding/binding.ts'
import { checkAgreement, type Setting } from '../../optim/agreement.ts'
import type { Collectives } from '../../optim/collectives.ts'
import type { Exchange, ExchangeOptions, StepReduction } from '../../optim/flat-exchange.ts'
import { callOptionsOf } from '../../optim/options.ts'
import type { CallOptions } from '../../types.ts'
import { averageNonTrainableWeights, broadcastWeights } from './broadcast-weights.ts'
import { trainableVariables, type WeightedModel } from './variables.ts'
import { VariableRound } from './variable-round.ts'

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

export interface SessionOptions extends ExchangeOptions {
  localSteps: number
  onReduction: ((reduction: StepReduction) => void) | undefined
}

const GOING_ON = 0
const WANTS_TO_STOP = 1
const AT_EPOCH_END = 2
const NOTES_PER_RANK = 2

/** Name of the vote among the averaged logs. */
const STOP_VOTE = 'adasum:stopTraining'

export class FitSession {
  readonly #model: TrainableModel
  readonly #comm: Collectives
  readonly #options: SessionOptions
  readonly #call: CallOptions
  #round: VariableRound | undefined
  #batchesPerEpoch: number | undefined
  #pendingBatches = 0
  #epochBatches = 0
  #epochs = 0
  /** This rank's wish to stop, kept until all know of it: a vote may be left out with its rank (onNonFinite: 'skip'). */
  #isStopWanted = false
  /** All ranks have learnt in an exchange that this epoch is the last. */
  #hasAgreedToStop = false
  /** They did so at different batches of the epoch. */
  #isCutUnevenly = false

  constructor(model: TrainableModel, comm: Collectives, options: SessionOptions) {
    this.#model = model
    this.#comm = comm
    this.#options = options
    this.#call = callOptionsOf(options)
  }

  async begin(params: FitParams): Promise<void> {
    this.#batchesPerEpoch = batchesPerEpoch(params)
    this.#pendingBatches = this.#epochBatches = this.#epochs = 0
    this.#hasAgreedToStop = this.#isStopWanted = this.#isCutUnevenly = false
    await this.#checkSettings(params)
    await broadcastWeights(this.#model, this.#comm, this.#call)
    const { localSteps: _steps, onReduction: _callback, ...exchange } = this.#options
    const trainable = trainableVariables(this.#model.trainableWeights)
    this.#round = new VariableRound(this.#comm, trainable, exchange, NOTES_PER_RANK)
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
    if (this.#pendingBatches >= this.#options.localSteps) await this.#exchange(this.#wish(GOING_ON))
  }

  async endEpoch(logs: Logs): Promise<void> {
    const hasNews = this.#pendingBatches > 0 || this.#epochBatches !== this.#batchesPerEpoch
    if (hasNews && !this.#hasAgreedToStop) {
      if (this.#pendingBatches === 0) await this.#running().begin()
      await this.#exchange(this.#wish(AT_EPOCH_END))
    }
    await averageNonTrainableWeights(this.#model, this.#comm, this.#call)
    await this.#averageLogs(logs)
    this.#epochs++
  }

  /** A rank that went on training would be in another collective now: the check fails at once, on all ranks. */
  async end(): Promise<void> {
    const settings = [{ label: 'the number of epochs done', value: this.#epochs }]
    const advice = 'Let callbacks that stop training from local numbers run before distribute().'
    await checkAgreement(settings, { comm: this.#comm, caller: 'distribute()', advice, call: this.#call })
  }

  #running(): VariableRound {
    if (this.#round) return this.#round
    throw new AdasumError(
      'ERR_NOT_READY',
      'distribute(): a batch came before onTrainBegin. Pass all of its callbacks to fit.',
    )
  }

  #wish(place: number): number {
    this.#isStopWanted ||= this.#model.stopTraining
    return place + (this.#isStopWanted ? WANTS_TO_STOP : 0)
  }

  async #exchange(standing: number): Promise<void> {
    const { reduction, notes } = await this.#running().combine([standing, this.#epochBatches])
    this.#pendingBatches = 0
    this.#readNotes(notes)
    this.#options.onReduction?.(reduction)
  }

  #readNotes(notes: Exchange['notes']): void {
    const known = notes.flatMap((note, rank) => (note ? [{ rank, standing: note[0]!, batches: note[1]! }] : []))
    const ended = known.find(({ standing }) => standing === AT_EPOCH_END)
    const ongoing = known.find(({ standing }) => standing === GOING_ON || standing === WANTS_TO_STOP)
    if (ended && ongoing) {
      const numbers = `rank ${ended.rank} ended its epoch after ${ended.batches} batches, rank ${ongoing.rank} is at batch ${ongoing.batches}`
      throw new AdasumError('ERR_MISMATCH', `distribute(): ${numbers}. Give every rank the same number of batches.`)
    }
    const isToStop = known.some(({ standing }) => (standing & WANTS_TO_STOP) !== 0)
    // False also where this rank wishes to: it cannot leave before the others know.
    this.#model.stopTraining = isToStop
    this.#hasAgreedToStop = isToStop
    this.#isCutUnevenly = isToStop && known.some(({ batches }) => batches !== known[0]!.batches)
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

  /** Averages the numbers in place, and agrees to stop if any rank wants to. */
  async #averageLogs(logs: Logs): Promise<void> {
    // Validation runs with an epoch's last batch: a rank that was just there has its results, the others have not.
    const isShared = (key: string): boolean =>
      typeof logs[key] === 'number' && !(this.#isCutUnevenly && key.startsWith('val_'))
    const keys = Object.keys(logs).filter(isShared).sort()
    const vote = Float64Array.of(this.#wish(0))
    const arrays: Record<string, Float64Array> = { [STOP_VOTE]: vote }
    for (const key of keys) arrays[key] = Float64Array.of(logs[key]!)
    await this.#comm.allReduce(arrays, { op: 'average', ...this.#call })
    for (const key of keys) logs[key] = arrays[key]![0]!
    this.#model.stopTraining = vote[0]! > 0
  }
}

/** Batches that a rank does in an epoch; undefined for a dataset that does not know its length. */
function batchesPerEpoch({ samples, batchSize, steps }: FitParams): number | undefined {
  if (typeof steps === 'number') return steps
  return typeof samples === 'number' && typeof batchSize === 'number' ? Math.ceil(samples / batchSize) : undefined
}
