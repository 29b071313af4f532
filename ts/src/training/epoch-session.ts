/**
 * Training by epochs on all ranks, as a sequence of collectives that is the same everywhere although each rank knows
 * only itself. The loop that takes the batches, such as a framework's `fit`, tells the session where it stands.
 *
 * Every exchange carries two notes of each rank: its state (within its epoch or at the end of it, and whether it wishes
 * to stop) and how many batches of the epoch it has done. No rank leaves its loop by itself: the first notes with a
 * wish to stop make all ranks leave, after the same batch. A rank at the end of its epoch while others are within
 * theirs has run out of data, which is a mistake.
 *
 * Ranks count by the samples of their batches since the last exchange, with operators to which that means something.
 *
 * An epoch ends with an exchange, unless the rank has done all its batches and exchanged the last of them, or all ranks
 * are about to stop. When the loop has ended its epoch, the ranks vote on the wishes made since.
 */
import { AdasumError } from '../errors.ts'
import type { FlatWeights } from '../optim/flat-weights.ts'
import { checkOperation } from '../reduction/operation.ts'
import { takesWeights } from '../reduction/options.ts'
import type { CallOptions } from '../types.ts'
import { checkAgreement, operatorSettings, type Setting } from './agreement.ts'
import type { Collectives } from './collectives.ts'
import { DeltaRound } from './delta-round.ts'
import { averageFlat, broadcastFlat } from './equal-weights.ts'
import type { Exchange, ExchangeOptions, StepReduction } from './flat-exchange.ts'
import { callOptionsOf } from './options.ts'
import type { WeightAccess } from './weight-access.ts'

/** The model that a loop trains. The session asks for each kind of its weights when it needs them. */
export interface EpochModel {
  /** All weights. */
  weights(): WeightAccess<FlatWeights>
  trainableWeights(): WeightAccess
  nonTrainableWeights(): WeightAccess<FlatWeights>
}

/** The loop that takes the batches. */
export interface EpochLoop {
  /** Whether this rank wishes to stop, whether or not the others know it. */
  readonly isStopWanted: boolean
  /** Makes the loop end after this batch, since all ranks have agreed to. */
  stop(): void
}

/** What the loop is about to do. */
export interface EpochPlan {
  /** Batches that this rank does in an epoch; undefined where nobody knows. */
  batchesPerEpoch: number | undefined
  /** Numbers of the loop that must be the same on every rank. */
  settings: readonly Setting[]
}

/** Numbers that a loop reports at the end of an epoch. */
export type Logs = Record<string, number>

export interface SessionOptions extends ExchangeOptions {
  localSteps: number
  onReduction: ((reduction: StepReduction) => void) | undefined
}

/** What an adapter's users call things: errors speak to them. */
export interface SessionWords {
  /** What they have called: `distribute()`. */
  caller: string
  /** What has happened, and what to do, where a batch comes before `begin`. */
  notBegun: string
  /** What to do where settings differ. */
  sameSettings: string
  /** What to do where ranks have done different numbers of epochs. */
  sameEpochs: string
}

const GOING_ON = 0
const WANTS_TO_STOP = 1
const AT_EPOCH_END = 2
const NOTES_PER_RANK = 2

export class EpochSession {
  readonly #model: EpochModel
  readonly #loop: EpochLoop
  readonly #comm: Collectives
  readonly #options: SessionOptions
  readonly #words: SessionWords
  readonly #call: CallOptions
  #round: DeltaRound | undefined
  #batchesPerEpoch: number | undefined
  #pendingBatches = 0
  /** The samples of these batches. */
  #pendingSamples = 0
  #epochBatches = 0
  #epochs = 0
  /** All ranks have learnt that this epoch is the last. */
  #hasAgreedToStop = false

  constructor(
    { model, loop }: { model: EpochModel; loop: EpochLoop },
    comm: Collectives,
    options: SessionOptions,
    words: SessionWords,
  ) {
    this.#model = model
    this.#loop = loop
    this.#comm = comm
    this.#options = options
    this.#words = words
    this.#call = callOptionsOf(options)
  }

  /**
   * Begins anew: checks that all ranks are about to do the same, and gives them the weights of rank 0.
   * @throws AdasumError ERR_MISMATCH with the two numbers or shapes; the communicator's errors
   */
  async begin({ batchesPerEpoch, settings }: EpochPlan): Promise<void> {
    this.#batchesPerEpoch = batchesPerEpoch
    this.#pendingBatches = this.#pendingSamples = this.#epochBatches = this.#epochs = 0
    this.#hasAgreedToStop = false
    await this.#checkSettings(settings)
    await broadcastFlat(this.#model.weights(), this.#comm, { root: 0, ...this.#call })
    const { localSteps: _steps, onReduction: _callback, ...exchange } = this.#options
    this.#round = new DeltaRound(this.#comm, this.#model.trainableWeights(), exchange, NOTES_PER_RANK, 'positive')
  }

  async beginEpoch(): Promise<void> {
    this.#epochBatches = 0
  }

  async beginBatch(): Promise<void> {
    if (this.#pendingBatches === 0) await this.#requireRound().begin()
  }

  /** @param sampleCount - how many samples the batch had, from 1; the batch counts by them if `countsSamples` */
  async endBatch(sampleCount: number): Promise<void> {
    this.#pendingBatches++
    this.#pendingSamples += sampleCount
    this.#epochBatches++
    if (this.#pendingBatches >= this.#options.localSteps) await this.#exchange(GOING_ON)
  }

  /**
   * Combines what is pending, and averages non-trainable weights and, in place, the logs.
   * @throws AdasumError ERR_MISMATCH if a rank has had more batches; the communicator's errors
   */
  async endEpoch(logs: Logs): Promise<void> {
    const hasNews = this.#pendingBatches > 0 || this.#epochBatches !== this.#batchesPerEpoch
    if (hasNews && !this.#hasAgreedToStop) {
      if (this.#pendingBatches === 0) await this.#requireRound().begin()
      await this.#exchange(AT_EPOCH_END)
    }
    await averageFlat(this.#model.nonTrainableWeights(), this.#comm, this.#call)
    await this.#averageLogs(logs)
    this.#epochs++
  }

  /** Ends an epoch with a vote: it stops all ranks if one of them has wished to since the last exchange. */
  async vote(): Promise<void> {
    if (this.#hasAgreedToStop) return
    // A call of its own, apart from the weights, so that no rank can be left out of it (onNonFinite: 'skip').
    const votes = Float32Array.of(this.#loop.isStopWanted ? 1 : 0)
    await this.#comm.allReduce(votes, { op: 'sum', ...this.#call })
    if (votes[0]! > 0) this.#stop()
  }

  /** A rank that went on training would be in another collective now: the check fails at once, on all ranks. */
  async end(): Promise<void> {
    const settings = [{ label: 'the number of epochs done', value: this.#epochs }]
    await this.#agree(settings, this.#words.sameEpochs)
  }

  /** Whether ranks count by the samples of their batches; if not, ranks should have equally many. */
  get countsSamples(): boolean {
    return takesWeights(checkOperation(this.#options.op).name, this.#options.hierarchy)
  }

  #requireRound(): DeltaRound {
    if (this.#round) return this.#round
    throw new AdasumError('ERR_NOT_READY', `${this.#words.caller}: ${this.#words.notBegun}`)
  }

  async #exchange(position: typeof GOING_ON | typeof AT_EPOCH_END): Promise<void> {
    const state = position | (this.#loop.isStopWanted ? WANTS_TO_STOP : 0)
    // Where nothing is pending nothing changes, but a rank of weight 0 could tell nothing.
    const weight = this.countsSamples ? Math.max(1, this.#pendingSamples) : undefined
    const { reduction, notes } = await this.#requireRound().combine([state, this.#epochBatches], weight)
    this.#pendingBatches = this.#pendingSamples = 0
    this.#readNotes(notes)
    this.#options.onReduction?.(reduction)
  }

  #readNotes(notes: Exchange['notes']): void {
    const ranks = notes.flatMap((note, rank) => (note ? [{ rank, state: note[0]!, batches: note[1]! }] : []))
    const ended = ranks.find(({ state }) => state & AT_EPOCH_END)
    const ongoing = ranks.find(({ state }) => !(state & AT_EPOCH_END))
    if (ended && ongoing) {
      const numbers = `rank ${ended.rank} ended its epoch after ${ended.batches} batches, rank ${ongoing.rank} is at batch ${ongoing.batches}`
      const advice = 'Give every rank the same number of batches.'
      throw new AdasumError('ERR_MISMATCH', `${this.#words.caller}: ${numbers}. ${advice}`)
    }
    if (ranks.some(({ state }) => state & WANTS_TO_STOP)) this.#stop()
  }

  #stop(): void {
    this.#hasAgreedToStop = true
    this.#loop.stop()
  }

  #checkSettings(settings: readonly Setting[]): Promise<void> {
    const own = [
      ...operatorSettings(this.#options.op),
      { label: 'gram', value: Number(this.#options.gram === true), choices: ['absent', 'given'] },
      { label: 'localSteps', value: this.#options.localSteps },
    ]
    return this.#agree([...own, ...settings], this.#words.sameSettings)
  }

  #agree(settings: readonly Setting[], advice: string): Promise<void> {
    return checkAgreement(settings, { comm: this.#comm, caller: this.#words.caller, advice, call: this.#call })
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
