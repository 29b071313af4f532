/** The communicator: its methods check their arguments and join a collective with a reducer. */
import { allReduce } from '../collectives/all-reduce.ts'
import type { AllReduceOutcome } from '../collectives/job.ts'
import { barrier, broadcast, exchange, exchangeNumbers, message } from '../collectives/move.ts'
import { reduceScatter } from '../collectives/reduce-scatter.ts'
import { broadcastSchedule } from '../collectives/schedule/schedule.ts'
import { lengthOf } from '../binding/typed-array.ts'
import type { CommunicatorMetrics } from '../call-records.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import type { Call } from '../group/call.ts'
import { COLLECTIVES, SCHEDULES } from '../group/descriptor.ts'
import { AgreedFailure } from '../group/failure.ts'
import type { Group } from '../group/group.ts'
import type { GpuArray, GpuReducer } from '../gpu/gpu-reducer.ts'
import { makeReducer } from '../reduction/reducer.ts'
import { reportSegments } from '../reduction/report.ts'
import { bytesOf, checkArray, checkFlag, checkOptions, copyOptions } from '../tensor/check.ts'
import { type ArraysByName, newArrayLike } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
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
import { descriptorOf, describeExchange } from './descriptors.ts'
import { type LocalStage, planLocalStage } from './micro-batches.ts'
import * as known from './options.ts'
import { allReduceJobOf, compressionOf } from './reduce-job.ts'
import { ReducePlanner } from './reduce-plan.ts'

/** A rank's place among the others. */
export interface Place {
  readonly localRank: number
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
  /** Number of this process among those on the same host, from 0. */
  readonly localRank: number
  /** How many ranks are on this host. */
  readonly localSize: number
  /** What rank 0 has handed out; groups made by `split` inherit it. */
  readonly tuning: Tuning
  readonly #world: World
  readonly #membership: Membership
  readonly #group: Group
  readonly #planner: ReducePlanner

  constructor(world: World, membership: Membership, place: Place = world.placeOf(membership)) {
    this.#world = world
    this.#membership = membership
    this.#group = membership.group
    this.rank = this.#group.rank
    this.size = this.#group.size
    this.tuning = this.#group.tuning
    this.#planner = new ReducePlanner(this, world.machinesOf(membership))
    this.localRank = place.localRank
    this.localSize = place.localSize
  }

  /**
   * This rank's share of `count` items: as many for every rank, in rank order, the remainder dropped.
   * @throws AdasumError ERR_ARGUMENT if there are fewer items than ranks
   */
  shard(count: number): { begin: number; end: number } {
    if (!Number.isSafeInteger(count) || count < this.size)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${inspect(count)} items cannot be shared among ${this.size} ranks. Use at least one a rank.`,
      )
    const share = Math.floor(count / this.size)
    return { begin: this.rank * share, end: (this.rank + 1) * share }
  }

  /** How large messages reach the ranks of this communicator that it has been in touch with. */
  get transport(): 'tcp' | 'shared-memory' | 'mixed' {
    const found = new Set([...this.#group.links()].map(({ sharesMemory }) => sharesMemory))
    if (found.size > 1) return 'mixed'
    return found.has(true) ? 'shared-memory' : 'tcp'
  }

  /**
   * A zeroed array that ranks of this machine can read where it lies, so that its collectives copy less. It is an array like
   * any other, and lives as long as it is used, the communicator's end or not. Where no memory is shared, or there is no more
   * of it, or it would be 64 KiB or shorter, it is one of the heap.
   *
   * @throws AdasumError ERR_ARGUMENT for an unknown dtype, or a count that is no whole number or more than can be had
   */
  allocate<N extends keyof ArraysByName>(dtype: N, count: number): ArraysByName[N] {
    return allocateArray(this.#world.sharedMemory, dtype, count)
  }

  /** Half formats, stored as f32; otherwise as below. (First, since objects of arrays would fit the general form, too.) */
  allReduce<R extends Float32Array | NamedArrays<Float32Array>>(
    data: Uint16Array | NamedArrays<Uint16Array>,
    options: AllReduceOptions<R> & { out: R },
  ): Promise<Reduction<R>>
  /** Integers: folded, element by element. */
  allReduce<D extends IntegerArray | NamedArrays<IntegerArray>>(
    data: D,
    options: AllReduceOptions<D, FoldOp>,
  ): Promise<Reduction<D>>
  /**
   * Combines the data of all ranks; every rank gets the same bits. In place unless `out` is given: then the data is
   * unchanged, and `out` undefined if the call fails.
   * @throws AdasumError ERR_ARGUMENT, ERR_WORLD_SIZE, ERR_NON_FINITE, ERR_NOT_READY (the group lives on after these),
   *   ERR_MISMATCH
   */
  allReduce<D extends ReducibleArray | NamedArrays<ReducibleArray>>(
    data: D,
    options: AllReduceOptions<D>,
  ): Promise<Reduction<D>>
  /** Micro-batches of half formats, stored as f32; otherwise as below. */
  allReduce<R extends Float32Array>(
    data: readonly Uint16Array[] | GpuReducer,
    options: known.MicroBatchOptions<R> & { out: R },
  ): Promise<Reduction<R>>
  /**
   * Micro-batches: several arrays of one rank, or the slots of a GpuReducer, are combined by `local` first, in this process, and
   * then once across ranks, each of which counts once. They are unchanged; the result goes to `out`, or to a new array.
   * @throws AdasumError as above; ERR_UNSUPPORTED; ERR_OUT_OF_MEMORY and ERR_DEVICE_LOST, which end the group
   */
  allReduce<A extends ReducibleArray>(data: readonly A[], options: known.MicroBatchOptions<A>): Promise<Reduction<A>>
  allReduce<A extends GpuArray>(data: GpuReducer, options: known.MicroBatchOptions<A>): Promise<Reduction<A>>
  async allReduce(
    data: Data | readonly ReducibleArray[] | GpuReducer,
    given: AllReduceOptions<Data>,
  ): Promise<Reduction<Data>> {
    const options = copyOptions(given, known.MICRO_BATCH_OPTIONS)
    const stage = reading('data', () => planLocalStage(data, options))
    return stage ? this.#reduce(stage.data, stage.options, stage) : this.#reduce(data as Data, options)
  }

  async #reduce(given: Data, options: AllReduceOptions<Data>, stage?: LocalStage): Promise<Reduction<Data>> {
    const [data, target] = [readData(given, 'data'), readData(options?.out as Data, 'out')]
    const taken = target === undefined ? options : { ...options, out: target }
    const plan = reading('the arguments', () => this.#planner.allReduce(data, taken, stage?.localOp))
    const { layout, outLayout, descriptor } = plan
    const scratch = this.#group.scratch
    const compression = compressionOf(plan, this.#world.binding, this.tuning, scratch)
    const ran = this.#group.run(descriptor, options, async (call) => {
      const local = stage && (await stage.run())
      if (local) call.progressed()
      const input = pack(data, scratch)
      const out = outLayout && pack(target, scratch)
      const check = (): void => [input, out].forEach((packed) => packed?.check())
      const memory = { data: input.vector, out: out?.vector, scratch, check }
      const release = (): void => [input, out].forEach((packed) => packed?.release())
      const job = { ...allReduceJobOf(plan, this.#world.binding, this.tuning), ...memory, compression }
      const outcome = await allReduce(call, job).catch((error: unknown) => {
        // After any other failure a connection may still use the memory.
        if (error instanceof AgreedFailure) release()
        throw error
      })
      ;(out ?? input).unpack()
      release()
      return { ...reductionOf(options.out ?? given, layout, outcome, call), ...(local && { local }) }
    })
    return ran.finally(() => compression?.feedback?.release())
  }

  /** Half formats, stored as f32; otherwise as below. */
  reduceScatter(
    data: Uint16Array,
    options: known.ReduceScatterOptions<Float32Array> & { out: Float32Array },
  ): Promise<Reduction<Float32Array>>
  /** Integers: folded, element by element. */
  reduceScatter<A extends IntegerArray>(data: A, options: known.ReduceScatterOptions<A, FoldOp>): Promise<Reduction<A>>
  /**
   * Combines the data of all ranks like allReduce, and gives rank r part r of the result, in `out` or in a new array. The
   * parts are equal, or as long as `counts` says (one number a rank, the same on every rank). The data is unchanged.
   * @throws AdasumError ERR_ARGUMENT, ERR_NON_FINITE (the group lives on after these), ERR_MISMATCH
   */
  reduceScatter<A extends ReducibleArray>(data: A, options: known.ReduceScatterOptions<A>): Promise<Reduction<A>>
  async reduceScatter(
    data: NumericArray,
    given: known.ReduceScatterOptions<NumericArray>,
  ): Promise<Reduction<NumericArray>> {
    const options = copyOptions(given, known.REDUCE_SCATTER_OPTIONS)
    const plan = reading('the arguments', () => this.#planner.reduceScatter(data, options))
    const { op, layout, wanted, descriptor } = plan
    const scratch = this.#group.scratch
    const result = options.out ?? newArrayLike(data, wanted[this.rank + 1]! - wanted[this.rank]!)
    return this.#group.run(descriptor, options, async (call) => {
      const reducer = makeReducer(op, layout.dtype, this.#world.binding, this.tuning)
      const [input, part] = [pack(data, scratch), pack(result, scratch)]
      const check = (): void => [input, part].forEach((packed) => packed.check())
      const memory = { data: input.vector, part: bytesOf(result), scratch, check }
      const outcome = await reduceScatter(call, { ...plan, reducer, ...memory })
      return reductionOf(result, layout, outcome, call)
    })
  }

  /**
   * Gives every rank the root's data, in place.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async broadcast<D extends NumericArray | NamedArrays<NumericArray>>(
    given: D,
    callOptions: known.BroadcastOptions = {},
  ): Promise<D> {
    const options = copyOptions(callOptions, known.BROADCAST_OPTIONS)
    const data = readData(given, 'data')
    checkOptions(options, known.BROADCAST_OPTIONS)
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
   * The data of all ranks, one after the other in rank order: a new array, size x data.length long. With `uneven`, ranks
   * may have different lengths, 0 included; one short round more tells them, and they come back as `counts`.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  allGather<A extends NumericArray>(
    data: A,
    options: known.GatherOptions & { uneven: true },
  ): Promise<known.Gathered<A>>
  allGather<A extends NumericArray>(data: A, options?: known.GatherOptions): Promise<A>
  async allGather<A extends NumericArray>(data: A, given: known.GatherOptions = {}): Promise<A | known.Gathered<A>> {
    const options = copyOptions(given, known.GATHER_OPTIONS)
    checkOptions(options, known.GATHER_OPTIONS)
    const dtype = checkArray(data, 'data')
    const isUneven = checkFlag(options.uneven, 'uneven')
    const layout = isUneven ? undefined : layoutOf(data, 'data')
    const descriptor = describeExchange('all-gather', dtype, layout)
    return this.#group.run(descriptor, options, async (call) => {
      const lengths = Array.from({ length: this.size }, () => lengthOf(data))
      const counts = isUneven ? await exchangeNumbers(call, lengths) : lengths
      const { result, incoming } = newParts(data, counts)
      await exchange(
        call,
        counts.map(() => bytesOf(data)),
        incoming,
      )
      return isUneven ? { result, counts } : result
    })
  }

  /**
   * Part r of the data goes to rank r; the result has what each rank has for this one, in rank order. The parts are equal,
   * or as long as `counts` says (one number a rank, adding up to the length; 0 is allowed): then all ranks must give
   * counts, and one short round more tells each what it will get.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async allToAll<A extends NumericArray>(data: A, given: known.AllToAllOptions = {}): Promise<known.Gathered<A>> {
    const options = copyOptions(given, known.ALL_TO_ALL_OPTIONS)
    checkOptions(options, known.ALL_TO_ALL_OPTIONS)
    const dtype = checkArray(data, 'data')
    const isUneven = options.counts !== undefined
    const sent = partCounts(lengthOf(data), this.size, options.counts)
    const descriptor = describeExchange('all-to-all', dtype, isUneven ? undefined : layoutOf(data, 'data'))
    return this.#group.run(descriptor, options, async (call) => {
      const counts = isUneven ? await exchangeNumbers(call, sent) : sent
      const { result, incoming } = newParts(data, counts)
      await exchange(call, partsOf(data, sent), incoming)
      return { result, counts }
    })
  }

  /**
   * Sends an array, or named arrays, to one rank, which must call `receive` with as many elements of the same dtype.
   * Messages between two ranks match in the order of the calls. Resolves when the data may change again.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async send(data: NumericArray | NamedArrays<NumericArray>, given: known.SendOptions): Promise<void> {
    const options = copyOptions(given, known.SEND_OPTIONS)
    checkOptions(options, known.SEND_OPTIONS)
    const pair = { from: this.rank, to: this.#checkPeer(options.to, 'to') }
    await this.#message(data, pair, options)
  }

  /**
   * Fills an array, or named arrays, with what one rank sends. Unchanged if the call fails.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async receive<D extends NumericArray | NamedArrays<NumericArray>>(data: D, given: known.ReceiveOptions): Promise<D> {
    const options = copyOptions(given, known.RECEIVE_OPTIONS)
    checkOptions(options, known.RECEIVE_OPTIONS)
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

  /** What this rank has done in this communicator since it was made. `metricsText` writes it for Prometheus. */
  metrics(): CommunicatorMetrics {
    const { kind, isa } = this.#world.binding
    const worldRank = this.#membership.worldRanks[this.rank]!
    return { ...this.#group.metrics(), worldRank, binding: { kind, isa: isa() } }
  }

  /** Resolves when all ranks have called it. */
  async barrier(given: CallOptions = {}): Promise<void> {
    const options = copyOptions(given, CALL_OPTIONS)
    checkOptions(options, CALL_OPTIONS)
    await this.#group.run({ ...NO_DESCRIPTOR, collective: COLLECTIVES.barrier }, options, barrier)
  }

  /**
   * Sub-groups: all ranks call it, and those that give the same color get a communicator of their own, numbered by key,
   * then by rank here. A rank without a color gets undefined. The new communicator fails and closes by itself; closing
   * the world closes it, too.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async split(
    color: number | undefined,
    key: number = this.rank,
    given: CallOptions = {},
  ): Promise<Communicator | undefined> {
    const options = copyOptions(given, CALL_OPTIONS)
    checkOptions(options, CALL_OPTIONS)
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
    return new Communicator(this.#world, this.#world.subgroup(this.#membership, sequence, color, ranks))
  }

  /**
   * Waits for this rank's calls, says goodbye to the other ranks and lets go of all connections; the world's communicator
   * closes those split off from it, too. Never throws.
   */
  async close(): Promise<void> {
    if (this.#membership.id === WORLD_GROUP_ID) await this.#world.close()
    else await this.#world.leave(this.#membership)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function reductionOf<D>(result: D, layout: Layout, outcome: AllReduceOutcome, { bytesSent }: Call): Reduction<D> {
  const { report, nonFiniteRanks } = outcome
  return { result, segments: reportSegments(layout, report), nonFiniteRanks, bytesSent }
}
