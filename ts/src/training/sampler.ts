/**
 * Which samples each rank trains on. An epoch is one order of all samples, the same on every rank, and a position in
 * it: how many samples all ranks together have taken. A step takes the next global batch, and each rank its part of
 * that. Neither order nor position knows of ranks, so the world may change between any two steps.
 */
import { AdasumError, inspect } from '../errors.ts'
import { checkFlag, checkOptions, kindOf, wholeNumber } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import { permutation, random32 } from './random.ts'

/** Where a rank is in its world; every communicator is one. */
export interface RankInWorld {
  /** From 0 to size - 1. */
  readonly rank: number
  /** How many ranks there are. */
  readonly size: number
}

/** How far a sampler has come, as plain JSON. It is the same on all ranks, and holds for a world of any size. */
export interface SamplerState {
  /** Samples in the data set. */
  readonly count: number
  /** The seed of the orders. */
  readonly seed: number
  /** Whether each epoch has an order of its own. */
  readonly shuffle: boolean
  /** The epoch under way, counted from 0. */
  readonly epoch: number
  /** Samples of this epoch that all ranks together have taken. */
  readonly position: number
}

/** Options of a sampler. */
export interface SamplerOptions {
  /** Samples in the data set, from 1 to 2^31 - 1. */
  count: number
  /** Samples that each rank takes in a step: a global batch has `batchSize` times as many as there are ranks. */
  batchSize?: number
  /** Samples that all ranks together take in a step, whatever their number. Instead of `batchSize`. */
  globalBatchSize?: number
  /** Whole, from 0 to 2^53 - 1, the same on all ranks. Another seed gives other orders. Default 0. */
  seed?: number
  /** Whether each epoch has an order of its own; otherwise all go through the samples from first to last. Default true. */
  shuffle?: boolean
  /**
   * Whether an epoch ends before a global batch that is not full: no sample is taken more than once, and the few that
   * are left out are others in each epoch. Otherwise every sample is taken exactly once, and in the last step ranks
   * may get one sample less than others, or none. Default true.
   */
  dropLast?: boolean
  /** Where to go on: what `state()` gave. Default: the beginning of epoch 0. */
  state?: SamplerState
}

const SAMPLER_OPTIONS: OptionNames<SamplerOptions> = {
  count: true,
  batchSize: true,
  globalBatchSize: true,
  seed: true,
  shuffle: true,
  dropLast: true,
  state: true,
}
/** Indices are 32-bit integers with a sign. */
const MOST_SAMPLES = 2 ** 31 - 1
const MOST_EPOCHS = 2 ** 32 - 1

interface Settings {
  readonly count: number
  readonly seed: number
  readonly shuffle: boolean
  readonly dropLast: boolean
  /** Samples of one rank, or of all ranks together. */
  readonly batch: { readonly size: number; readonly isGlobal: boolean }
}

/**
 * Deals the samples of a data set to the ranks, in a new order each epoch. Nothing is sent: all ranks are given the same
 * options, and each works out its own part.
 *
 * @param member - this rank's communicator, or any object with its rank and size; both are read at each step
 * @throws AdasumError ERR_ARGUMENT for options that are unknown, out of range or contradict each other, and for a
 *   global batch that has more samples than the data set while incomplete ones are dropped; ERR_MISMATCH for a state
 *   of another data set or seed
 */
export function sampler(member: RankInWorld, options: SamplerOptions): Sampler {
  const made = new Sampler(member, settingsOf(options))
  if (options.state !== undefined) made.restore(options.state)
  void made.stepsPerEpoch
  return made
}

function settingsOf(options: SamplerOptions): Settings {
  checkOptions(options, SAMPLER_OPTIONS)
  const { count, batchSize, globalBatchSize, seed = 0, shuffle = true, dropLast = true } = options
  if ((batchSize === undefined) === (globalBatchSize === undefined))
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${batchSize === undefined ? 'neither' : 'both'} of batchSize and globalBatchSize are given. Pass one of them: samples a rank, or samples of all ranks together.`,
    )
  const isGlobal = batchSize === undefined
  const size = wholeNumber(batchSize ?? globalBatchSize, isGlobal ? 'globalBatchSize' : 'batchSize', { least: 1 })
  return {
    count: wholeNumber(count, 'count', { least: 1, most: MOST_SAMPLES }),
    seed: wholeNumber(seed, 'seed'),
    shuffle: checkFlag(shuffle, 'shuffle'),
    dropLast: checkFlag(dropLast, 'dropLast'),
    batch: { size, isGlobal },
  }
}

/** @internal Users get one from `sampler()`. */
export class Sampler {
  readonly #member: RankInWorld
  readonly #settings: Settings
  #epoch = 0
  #position = 0
  /** The order of an epoch, made when its first batch is. */
  #order: { readonly epoch: number; readonly indices: Int32Array } | undefined

  constructor(member: RankInWorld, settings: Settings) {
    this.#member = member
    this.#settings = settings
  }

  /** The epoch under way, counted from 0. */
  get epoch(): number {
    return this.#epoch
  }

  /** Samples of this epoch that all ranks together have taken. */
  get position(): number {
    return this.#position
  }

  /**
   * Steps of a whole epoch in a world of today's size.
   * @throws AdasumError ERR_ARGUMENT if there is none, because the samples do not fill one global batch
   */
  get stepsPerEpoch(): number {
    const { count, dropLast } = this.#settings
    const globalBatch = this.#globalBatch(checkRankInWorld(this.#member))
    return dropLast ? Math.floor(count / globalBatch) : Math.ceil(count / globalBatch)
  }

  /**
   * The rest of this epoch, batch by batch; when all are taken, the sampler stands at the beginning of the next epoch.
   * A batch counts as taken once it is handed out: a loop that is left early goes on behind it.
   */
  *batches(): Generator<Int32Array, void, undefined> {
    for (let batch = this.next(); batch !== undefined; batch = this.next()) yield batch
  }

  /**
   * Takes the next global batch. All ranks call it equally often, and get the end of an epoch in the same call.
   *
   * @param member - this rank and the size of the world in this step, if they are not what the sampler was made with
   * @returns the indices of this rank's samples, a copy; none if the last batch has fewer samples than there are
   *   ranks; undefined once at the end of each epoch
   * @throws AdasumError ERR_ARGUMENT for what has no rank and size, or as `stepsPerEpoch` does
   */
  next(member: RankInWorld = this.#member): Int32Array | undefined {
    const { rank, size } = checkRankInWorld(member)
    const { count, dropLast } = this.#settings
    const globalBatch = this.#globalBatch({ rank, size })
    const left = count - this.#position
    if (left < (dropLast ? globalBatch : 1)) {
      this.#epoch++
      this.#position = 0
      return undefined
    }
    const taken = Math.min(globalBatch, left)
    const begin = this.#position + shareBegin(taken, rank, size)
    const end = this.#position + shareBegin(taken, rank + 1, size)
    const batch = this.#orderOf(this.#epoch).slice(begin, end)
    this.#position += taken
    return batch
  }

  /** How far this sampler has come, for a checkpoint or for a rank that joins. */
  state(): SamplerState {
    const { count, seed, shuffle } = this.#settings
    return { count, seed, shuffle, epoch: this.#epoch, position: this.#position }
  }

  /**
   * Goes to where a state was taken, back or forth: after a step that failed, the state from before it.
   * @throws AdasumError ERR_MISMATCH for a state of another data set, seed or kind of order; ERR_ARGUMENT for what is none
   */
  restore(state: SamplerState): void {
    if (typeof state !== 'object' || state === null)
      throw new AdasumError('ERR_ARGUMENT', `state must be what state() gave; got ${kindOf(state)}.`)
    const { count, seed, shuffle } = this.#settings
    for (const [name, mine] of Object.entries({ count, seed, shuffle })) checkSame(name, state, mine)
    const epoch = wholeNumber(state.epoch, 'state.epoch', { most: MOST_EPOCHS })
    this.#position = wholeNumber(state.position, 'state.position', { most: count })
    this.#epoch = epoch
  }

  #globalBatch({ size }: RankInWorld): number {
    const { count, dropLast, batch } = this.#settings
    const globalBatch = batch.isGlobal ? batch.size : batch.size * size
    if (!dropLast || globalBatch <= count) return globalBatch
    const message = `a global batch has ${globalBatch} samples, the data set ${count}. Make the batch smaller, or pass dropLast: false.`
    throw new AdasumError('ERR_ARGUMENT', message)
  }

  #orderOf(epoch: number): Int32Array {
    if (this.#order?.epoch !== epoch) this.#order = { epoch, indices: orderOf(this.#settings, epoch) }
    return this.#order.indices
  }
}

function orderOf({ count, seed, shuffle }: Settings, epoch: number): Int32Array {
  return shuffle ? permutation(count, random32(seed, epoch)) : Int32Array.from({ length: count }, (_, index) => index)
}

/** Where the share of a rank begins: shares lie one behind the other, and the first ones have one sample more. */
function shareBegin(count: number, rank: number, size: number): number {
  return rank * Math.floor(count / size) + Math.min(rank, count % size)
}

function checkRankInWorld(member: unknown): RankInWorld {
  const { rank, size } = (member ?? {}) as Partial<RankInWorld>
  if (Number.isSafeInteger(size) && Number.isSafeInteger(rank) && rank! >= 0 && rank! < size!)
    return { rank: rank!, size: size! }
  const given = rank === undefined || size === undefined ? kindOf(member) : `rank ${inspect(rank)} of ${inspect(size)}`
  throw new AdasumError(
    'ERR_ARGUMENT',
    `the member of the world must be a communicator, or a rank from 0 to size - 1; got ${given}. Pass what \`await connect()\` gives.`,
  )
}

function checkSame(name: string, state: object, mine: number | boolean): void {
  const theirs: unknown = Object.entries(state).find(([key]) => key === name)?.[1]
  if (theirs === mine) return
  const message = `the state was taken with ${name} ${inspect(theirs)}, this sampler has ${name} ${mine}. Samples would be lost or taken twice: use the same data set and seed.`
  throw new AdasumError('ERR_MISMATCH', message)
}
