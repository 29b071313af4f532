/** The communicator. Its methods check their arguments and run a collective; reductions.ts has those that reduce. */
import { barrier, broadcast, exchange, exchangeNumbers, message } from '../collectives/move.ts'
import { broadcastSchedule } from '../collectives/schedule/schedule.ts'
import { lengthOf } from '../binding/typed-array.ts'
import type { CommunicatorMetrics } from '../call-records.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import { COLLECTIVES, SCHEDULES } from '../group/descriptor.ts'
import type { Group } from '../group/group.ts'
import type { GpuArray, GpuReducer } from '../gpu/gpu-reducer.ts'
import { bytesOf, checkArray, checkFlag, checkOptions, copyOptions, readOptions } from '../tensor/check.ts'
import type { ArraysByName } from '../tensor/dtype.ts'
import type { Tuning } from '../tuning.ts'
import {
  type AllReduceOptions,
  CALL_OPTIONS,
  type CallOptions,
  type FoldOp,
  type IntegerArray,
  type NamedArrays,
  type NumericArray,
  type ReducibleArray,
  type Reduction,
} from '../types.ts'
import { NO_DESCRIPTOR } from '../wire/frame.ts'
import { WORLD_GROUP_ID } from '../wire/handshake-format.ts'
import type { Membership, World } from '../world/world.ts'
import { allocateArray } from './allocate.ts'
import { checkColor, checkKey, ranksOfColor } from './color.ts'
import { type Data, type Packed, layoutOf, newParts, pack, partCounts, partsOf, readData } from './data.ts'
import { descriptorOf, exchangeDescriptorOf } from './descriptors.ts'
import {
  ALL_TO_ALL_OPTIONS,
  type AllToAllOptions,
  BROADCAST_OPTIONS,
  type BroadcastOptions,
  GATHER_OPTIONS,
  type GatherOptions,
  type Gathered,
  type Joined,
  type MicroBatchOptions,
  RECEIVE_OPTIONS,
  type ReceiveOptions,
  type ReduceScatterOptions,
  SEND_OPTIONS,
  type SendOptions,
  type Shard,
} from './options.ts'
import { Reductions } from './reductions.ts'

/** A rank's number among those on its machine, from 0, and how many these are. */
export interface LocalRanks {
  /** This rank's number among them. */
  readonly localRank: number
  /** How many ranks are on its machine. */
  readonly localSize: number
}

/**
 * The ranks of a world, connected to each other. All ranks must call the same collectives in the same order with the
 * same shapes; a difference ends the group with ERR_MISMATCH. Every method may also throw ERR_PEER_LOST, ERR_TIMEOUT,
 * ERR_ABORTED and ERR_CLOSED.
 */
export class Communicator implements AsyncDisposable {
  /** Number of this process in the world, from 0. */
  readonly rank: number
  /** How many ranks the world has. */
  readonly size: number
  /** Number of this process among those on the same machine, from 0. */
  readonly localRank: number
  /** How many ranks are on this machine. */
  readonly localSize: number
  /** The constants that rank 0 has given to all ranks. Groups made by `split` inherit them. */
  readonly tuning: Tuning
  readonly #world: World
  readonly #membership: Membership
  readonly #group: Group
  readonly #reductions: Reductions

  constructor(world: World, membership: Membership, local: LocalRanks = world.localRanksOf(membership)) {
    this.#world = world
    this.#membership = membership
    this.#group = membership.group
    this.rank = this.#group.rank
    this.size = this.#group.size
    this.tuning = this.#group.tuning
    this.#reductions = new Reductions(this.#group, world.binding, world.machinesOf(membership))
    this.localRank = local.localRank
    this.localSize = local.localSize
  }

  /**
   * This rank's share of `count` items, `end` excluded. All shares are equally long, in rank order; the remainder is
   * dropped.
   * @throws AdasumError ERR_ARGUMENT if there are fewer items than ranks
   */
  shard(count: number): Shard {
    if (!Number.isSafeInteger(count) || count < this.size)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${inspect(count)} items cannot be shared among ${this.size} ranks. Use at least one a rank.`,
      )
    const share = Math.floor(count / this.size)
    return { begin: this.rank * share, end: (this.rank + 1) * share }
  }

  /** How large messages travel between this rank and those of the communicator that it is connected to so far. */
  get transport(): 'tcp' | 'shared-memory' | 'mixed' {
    const found = new Set([...this.#group.links()].map(({ sharesMemory }) => sharesMemory))
    if (found.size > 1) return 'mixed'
    return found.has(true) ? 'shared-memory' : 'tcp'
  }

  /**
   * A zeroed array that ranks of this machine can read where it lies, so that collectives copy less. It is an array
   * like any other, and stays valid after the communicator's end. Where no memory is shared, where none is left, and
   * for 64 KiB or less, it lies in the heap.
   *
   * @throws AdasumError ERR_ARGUMENT for an unknown dtype, or a count that is no whole number or more than there is
   *   memory for
   */
  allocate<N extends keyof ArraysByName>(dtype: N, count: number): ArraysByName[N] {
    return allocateArray(this.#world.sharedMemory, dtype, count)
  }

  /**
   * Half formats with a result in f32; otherwise as below. (First, since objects of arrays would fit the general form,
   * too.)
   */
  allReduce<R extends Float32Array | NamedArrays<Float32Array>>(
    data: Uint16Array | NamedArrays<Uint16Array>,
    options: AllReduceOptions<R> & { out: R },
  ): Promise<Reduction<R>>
  /** Integers, which are folded element by element. */
  allReduce<D extends IntegerArray | NamedArrays<IntegerArray>>(
    data: D,
    options: AllReduceOptions<D, FoldOp>,
  ): Promise<Reduction<D>>
  /**
   * Combines the data of all ranks; every rank gets the same bits. The result replaces the data, unless `out` is given:
   * then the data is unchanged, and the contents of `out` are undefined if the call fails.
   * @throws AdasumError ERR_ARGUMENT, ERR_WORLD_SIZE, ERR_NON_FINITE, ERR_NOT_READY (the group lives on after these),
   *   ERR_MISMATCH
   */
  allReduce<D extends ReducibleArray | NamedArrays<ReducibleArray>>(
    data: D,
    options: AllReduceOptions<D>,
  ): Promise<Reduction<D>>
  /** Micro-batches of half formats with a result in f32; otherwise as below. */
  allReduce<R extends Float32Array>(
    data: readonly Uint16Array[] | GpuReducer,
    options: MicroBatchOptions<R> & { out: R },
  ): Promise<Reduction<R>>
  /**
   * Micro-batches: this process combines its arrays, or the slots of a GpuReducer, by `local` first. Then `op` combines
   * the ranks, each of which counts once, or by its `weight`. The inputs are unchanged; the result goes to `out`, or to a new array.
   * @throws AdasumError as above; ERR_UNSUPPORTED; ERR_OUT_OF_MEMORY and ERR_DEVICE_LOST, which end the group
   */
  allReduce<A extends ReducibleArray>(data: readonly A[], options: MicroBatchOptions<A>): Promise<Reduction<A>>
  allReduce<A extends GpuArray>(data: GpuReducer, options: MicroBatchOptions<A>): Promise<Reduction<A>>
  allReduce(
    data: Data | readonly ReducibleArray[] | GpuReducer,
    options: AllReduceOptions<Data>,
  ): Promise<Reduction<Data>> {
    return this.#reductions.allReduce(data, options)
  }

  /** Half formats with a result in f32; otherwise as below. */
  reduceScatter(
    data: Uint16Array,
    options: ReduceScatterOptions<Float32Array> & { out: Float32Array },
  ): Promise<Reduction<Float32Array>>
  /** Integers, which are folded element by element. */
  reduceScatter<A extends IntegerArray>(data: A, options: ReduceScatterOptions<A, FoldOp>): Promise<Reduction<A>>
  /**
   * Combines the data of all ranks like allReduce, and gives rank r part r of the result, in `out` or in a new array.
   * The parts are equal, or as long as `counts` says (one number a rank, the same on every rank). The data is
   * unchanged.
   * @throws AdasumError ERR_ARGUMENT, ERR_NON_FINITE (the group lives on after these), ERR_MISMATCH
   */
  reduceScatter<A extends ReducibleArray>(data: A, options: ReduceScatterOptions<A>): Promise<Reduction<A>>
  reduceScatter(data: NumericArray, options: ReduceScatterOptions<NumericArray>): Promise<Reduction<NumericArray>> {
    return this.#reductions.reduceScatter(data, options)
  }

  /**
   * Gives every rank the root's data, in place.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async broadcast<D extends NumericArray | NamedArrays<NumericArray>>(
    given: D,
    callOptions: BroadcastOptions = {},
  ): Promise<D> {
    const options = copyOptions(callOptions, BROADCAST_OPTIONS)
    const data = readData(given, 'data')
    checkOptions(options, BROADCAST_OPTIONS)
    const { root = 0 } = options
    if (!Number.isSafeInteger(root) || root < 0 || root >= this.size)
      throw new AdasumError('ERR_ARGUMENT', `root is ${inspect(root)}; the ranks are 0 to ${this.size - 1}.`)
    const layout = reading('data', () => layoutOf(data, 'data'))
    const schedule = broadcastSchedule(this.size, layout.elementCount * layout.dtype.byteLength, this.tuning)
    const descriptor = { ...descriptorOf('broadcast', layout), root, schedule: SCHEDULES[schedule] }
    return this.#group.run(descriptor, options, async (call) => {
      const packed: Packed = pack(data, this.#group.scratch)
      const memory = { data: packed.vector, scratch: this.#group.scratch, check: packed.check }
      await broadcast(call, { root, schedule, ...memory })
      if (call.rank !== root) packed.unpack()
      packed.release()
      return given
    })
  }

  /**
   * Gives every rank the data of all ranks, one after the other in rank order, in a new array of size x data.length
   * elements. With `uneven`, ranks may have different lengths, 0 included: they exchange them in one more short round,
   * and get them as `counts`.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  allGather<A extends NumericArray>(data: A, options: GatherOptions & { uneven: true }): Promise<Gathered<A>>
  allGather<A extends NumericArray>(data: A, options?: GatherOptions): Promise<A>
  async allGather<A extends NumericArray>(data: A, given: GatherOptions = {}): Promise<A | Gathered<A>> {
    const options = readOptions(given, GATHER_OPTIONS)
    const dtype = checkArray(data, 'data')
    const isUneven = checkFlag(options.uneven, 'uneven')
    const layout = isUneven ? undefined : layoutOf(data, 'data')
    const descriptor = exchangeDescriptorOf('all-gather', dtype, layout)
    return this.#group.run(descriptor, options, async (call) => {
      const lengths = Array.from({ length: this.size }, () => lengthOf(data))
      const counts = isUneven ? await exchangeNumbers(call, lengths) : lengths
      const { result, parts } = newParts(data, counts)
      await exchange(
        call,
        counts.map(() => bytesOf(data)),
        parts,
      )
      return isUneven ? { result, counts } : result
    })
  }

  /**
   * Sends part r of the data to rank r. The result has the parts that the ranks have sent to this one, in rank order.
   * The parts are equal, or as long as `counts` says (one number a rank, adding up to the length; 0 is allowed): then
   * all ranks must give counts, and one more short round tells each rank how much it will get.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async allToAll<A extends NumericArray>(data: A, given: AllToAllOptions = {}): Promise<Gathered<A>> {
    const options = readOptions(given, ALL_TO_ALL_OPTIONS)
    const dtype = checkArray(data, 'data')
    const isUneven = options.counts !== undefined
    const sent = partCounts(lengthOf(data), this.size, options.counts)
    const descriptor = exchangeDescriptorOf('all-to-all', dtype, isUneven ? undefined : layoutOf(data, 'data'))
    return this.#group.run(descriptor, options, async (call) => {
      const counts = isUneven ? await exchangeNumbers(call, sent) : sent
      const { result, parts } = newParts(data, counts)
      await exchange(call, partsOf(data, sent), parts)
      return { result, counts }
    })
  }

  /**
   * Sends an array, or named arrays, to one rank, which must call `receive` with as many elements of the same dtype.
   * Messages between two ranks match in the order of the calls. Resolves when the data may change again.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async send(data: NumericArray | NamedArrays<NumericArray>, given: SendOptions): Promise<void> {
    const options = readOptions(given, SEND_OPTIONS)
    const pair = { from: this.rank, to: this.#checkPeer(options.to, 'to') }
    await this.#message(data, pair, options)
  }

  /**
   * Fills an array, or named arrays, with what one rank sends. Unchanged if the call fails.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async receive<D extends NumericArray | NamedArrays<NumericArray>>(data: D, given: ReceiveOptions): Promise<D> {
    const options = readOptions(given, RECEIVE_OPTIONS)
    const pair = { from: this.#checkPeer(options.from, 'from'), to: this.rank }
    await this.#message(data, pair, options)
    return data
  }

  #checkPeer(peer: unknown, what: string): number {
    const isRank = Number.isSafeInteger(peer) && (peer as number) >= 0 && (peer as number) < this.size
    if (isRank && peer !== this.rank) return peer as number
    const message = `${what} is ${inspect(peer)}; it must be one of the ranks 0 to ${this.size - 1}, and not this one (${this.rank}).`
    throw new AdasumError('ERR_ARGUMENT', message)
  }

  #message(given: Data, pair: { from: number; to: number }, options: CallOptions): Promise<void> {
    const data = readData(given, 'data')
    const layout = reading('data', () => layoutOf(data, 'data'))
    const scratch = this.#group.scratch
    return this.#group.runMessage(pair, descriptorOf('message', layout), options, async (call) => {
      const packed = pack(data, scratch)
      await message(call, pair, { data: packed.vector, scratch, check: packed.check })
      if (pair.to === this.rank) packed.unpack()
      packed.release()
    })
  }

  /** Counters of this rank's calls in this communicator since it was made. `metricsText` writes them for Prometheus. */
  metrics(): CommunicatorMetrics {
    const { kind, isa } = this.#world.binding
    const worldRank = this.#membership.worldRanks[this.rank]!
    return { ...this.#group.metrics(), worldRank, binding: { kind, isa: isa() } }
  }

  /** Resolves when all ranks have called it. */
  async barrier(given: CallOptions = {}): Promise<void> {
    const options = readOptions(given, CALL_OPTIONS)
    await this.#group.run({ ...NO_DESCRIPTOR, collective: COLLECTIVES.barrier }, options, barrier)
  }

  /**
   * This rank has no more data. Until every rank has joined, it takes part with weight 0 in the all-reduces that the
   * others make: these need a `weight`, and must each be of a kind that this rank has made itself. Resolves on all ranks
   * when all have joined; then the communicator can be used as before. `timeoutMs` is the longest time between
   * two calls of the others, or within one. Until it resolves, other calls of this rank throw ERR_NOT_READY.
   *
   * @throws AdasumError ERR_ARGUMENT, ERR_NOT_READY (the group lives on after these); ERR_UNSUPPORTED on all ranks, if one
   *   makes a call that a rank which has joined cannot take part in
   */
  async join(given: CallOptions = {}): Promise<Joined> {
    const options = readOptions(given, CALL_OPTIONS)
    const lastRank = await this.#group.join(options, (descriptor) => this.#reductions.shadowOf(descriptor))
    return { lastRank }
  }

  /** How many joins have ended here: the same on all ranks whenever they may make calls. */
  get joinCount(): number {
    return this.#group.joins.endedCount
  }

  /**
   * Makes sub-groups. All ranks call it, and those that give the same color get a communicator of their own, with its
   * ranks in the order of their keys, then of their ranks here. A rank without a color gets undefined. If the new
   * communicator fails or is closed, this one goes on; closing the world closes it, too.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async split(
    color: number | undefined,
    key: number = this.rank,
    given: CallOptions = {},
  ): Promise<Communicator | undefined> {
    const options = readOptions(given, CALL_OPTIONS)
    const mine = Float64Array.of(checkColor(color), checkKey(key))
    const descriptor = { ...NO_DESCRIPTOR, collective: COLLECTIVES.split }
    const members = await this.#group.run(descriptor, options, async (call) => {
      const all = new Float64Array(2 * this.size)
      const part = (rank: number): Uint8Array => bytesOf(all.subarray(2 * rank, 2 * rank + 2))
      const ranks = [...Array(this.size).keys()]
      await exchange(
        call,
        ranks.map(() => bytesOf(mine)),
        ranks.map(part),
      )
      return { sequence: call.sequence, ranks: ranksOfColor(all, mine[0]!) }
    })
    if (color === undefined) return undefined
    const { sequence, ranks } = members
    return new Communicator(this.#world, this.#world.openSubgroup(this.#membership, sequence, color, ranks))
  }

  /**
   * Waits until this rank's calls have ended, tells the other ranks that it leaves, and closes all connections. The
   * world's communicator closes those split off from it, too. Never throws.
   */
  async close(): Promise<void> {
    if (this.#membership.id === WORLD_GROUP_ID) await this.#world.close()
    else await this.#world.leave(this.#membership)
  }

  /** Closes it, at the end of an `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
