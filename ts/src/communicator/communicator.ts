/** The communicator: its methods check their arguments and join a collective with a reducer. */
import { OP_CODES } from '../binding/binding.ts'
import { loadBinding } from '../binding/native.ts'
import { allReduce } from '../collectives/all-reduce.ts'
import { type Level, LevelPlanner } from '../collectives/level-plan.ts'
import type { LevelKind } from '../collectives/levels.ts'
import { allGather, barrier, broadcast } from '../collectives/move.ts'
import { allReduceSchedule, broadcastSchedule } from '../collectives/schedule.ts'
import { AdasumError } from '../errors.ts'
import { COLLECTIVES, NON_FINITE_CODES, SCHEDULES, WITH_COEFFICIENTS } from '../group/descriptor.ts'
import { AgreedFailure, type Group } from '../group/group.ts'
import { checkAlgorithm, checkOnNonFinite, checkOp } from '../reduction/options.ts'
import { makeReducer } from '../reduction/reducer.ts'
import { reportSegments } from '../reduction/report.ts'
import { bytesOf, checkArray, checkOptions, reducibleDtype } from '../tensor/check.ts'
import { newArrayLike } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import {
  ALL_REDUCE_OPTIONS,
  type AllReduceOptions,
  CALL_OPTIONS,
  type CallOptions,
  type NamedArrays,
  type NumericArray,
  type OnNonFinite,
  type OptionNames,
  type ReduceOp,
  type ReducibleArray,
  type Reduction,
} from '../types.ts'
import { type Descriptor, NO_DESCRIPTOR } from '../wire/frame.ts'
import { type Data, type Packed, checkOut, layoutOf, pack } from './data.ts'

export interface BroadcastOptions extends CallOptions {
  /** The rank whose data all ranks get. Default 0. */
  root?: number
}

const BROADCAST_OPTIONS: OptionNames<BroadcastOptions> = { root: true, ...CALL_OPTIONS }

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
  readonly #group: Group
  readonly #release: () => Promise<void>
  readonly #planners = new Map<LevelKind, LevelPlanner>()

  constructor(group: Group, place: Place, release: () => Promise<void>) {
    this.#group = group
    this.rank = group.rank
    this.size = group.size
    this.localRank = place.localRank
    this.localSize = place.localSize
    this.#release = release
  }

  /**
   * This rank's share of `count` items: as many for every rank, in rank order, the remainder dropped.
   * @throws AdasumError ERR_ARGUMENT if there are fewer items than ranks
   */
  shard(count: number): { begin: number; end: number } {
    if (!Number.isSafeInteger(count) || count < this.size)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${count} items cannot be shared among ${this.size} ranks. Use at least one a rank.`,
      )
    const share = Math.floor(count / this.size)
    return { begin: this.rank * share, end: (this.rank + 1) * share }
  }

  /** Half formats, stored as f32; otherwise as below. (First, since objects of arrays would fit the general form, too.) */
  allReduce<R extends Float32Array | NamedArrays<Float32Array>>(
    data: Uint16Array | NamedArrays<Uint16Array>,
    options: AllReduceOptions<R> & { out: R },
  ): Promise<Reduction<R>>
  /**
   * Combines the data of all ranks; every rank gets the same bits. In place unless `out` is given: then the data is
   * unchanged, and `out` undefined if the call fails.
   * @throws AdasumError ERR_ARGUMENT, ERR_WORLD_SIZE, ERR_NON_FINITE (the group lives on after these), ERR_MISMATCH
   */
  allReduce<D extends ReducibleArray | NamedArrays<ReducibleArray>>(
    data: D,
    options: AllReduceOptions<D>,
  ): Promise<Reduction<D>>
  async allReduce(data: Data, options: AllReduceOptions<Data>): Promise<Reduction<Data>> {
    const plan = this.#planAllReduce(data, options)
    const { op, onNonFinite, layout, outLayout, width, levels, descriptor } = plan
    const scratch = this.#group.scratch
    const result = options.out ?? data
    return this.#group.run(descriptor, options, async (call) => {
      const input = pack(data, layout, scratch)
      const out = outLayout && pack(result, outLayout, scratch)
      const check = (): void => [input, out].forEach((packed) => packed?.check())
      const statistics = width === 0 ? 'none' : width === 1 ? 'orthogonality' : 'coefficients'
      const job = {
        layout,
        resultDtype: (outLayout ?? layout).dtype,
        reducer: makeReducer(op, loadBinding()),
        onNonFinite,
        levels,
        data: input.bytes,
        statistics,
        scratch,
        check,
      } as const
      const release = (): void => [input, out].forEach((packed) => packed?.release())
      const outcome = await allReduce(call, { ...job, out: out?.bytes }).catch((error: unknown) => {
        // After any other failure a connection may still use the memory.
        if (error instanceof AgreedFailure) release()
        throw error
      })
      ;(out ?? input).unpack()
      release()
      const segments = reportSegments(layout, outcome.statistics, width)
      return { result, segments, nonFiniteRanks: outcome.nonFiniteRanks, bytesSent: call.bytesSent }
    })
  }

  /**
   * Gives every rank the root's data, in place.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async broadcast<D extends NumericArray | NamedArrays<NumericArray>>(
    data: D,
    options: BroadcastOptions = {},
  ): Promise<D> {
    checkOptions(options, BROADCAST_OPTIONS)
    const { root = 0 } = options
    if (!Number.isSafeInteger(root) || root < 0 || root >= this.size)
      throw new AdasumError('ERR_ARGUMENT', `root is ${root}; the ranks are 0 to ${this.size - 1}.`)
    const layout = layoutOf(data, 'data')
    const schedule = SCHEDULES[broadcastSchedule(this.size, layout.elementCount * layout.dtype.byteLength)]
    const descriptor = { ...describe('broadcast', layout), root, schedule }
    return this.#group.run(descriptor, options, async (call) => {
      const packed: Packed = pack(data, layout, this.#group.scratch)
      await broadcast(call, { root, data: packed.bytes, scratch: this.#group.scratch, check: packed.check })
      if (call.rank !== root) packed.unpack()
      packed.release()
      return data
    })
  }

  /**
   * The data of all ranks, one after the other in rank order: a new array, size x data.length long.
   * @throws AdasumError ERR_ARGUMENT, ERR_MISMATCH
   */
  async allGather<A extends NumericArray>(data: A, options: CallOptions = {}): Promise<A> {
    checkOptions(options, CALL_OPTIONS)
    checkArray(data, 'data')
    const layout = layoutOf(data, 'data')
    const descriptor = { ...describe('all-gather', layout), schedule: SCHEDULES.flat }
    return this.#group.run(descriptor, options, async (call) => {
      const result = newArrayLike(data, data.length * this.size)
      await allGather(call, bytesOf(data), bytesOf(result))
      return result
    })
  }

  /** Resolves when all ranks have called it. */
  async barrier(options: CallOptions = {}): Promise<void> {
    checkOptions(options, CALL_OPTIONS)
    await this.#group.run({ ...NO_DESCRIPTOR, collective: COLLECTIVES.barrier }, options, barrier)
  }

  /** Waits for this rank's calls, says goodbye to the other ranks and lets go of all connections. Never throws. */
  async close(): Promise<void> {
    await this.#group.close()
    await this.#release()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #planAllReduce(data: Data, options: AllReduceOptions<Data>): AllReducePlan {
    checkOptions(options, ALL_REDUCE_OPTIONS)
    const op = checkOp(options.op)
    const onNonFinite = checkOnNonFinite(options.onNonFinite, op)
    const found = layoutOf(data, 'data', options.segments)
    const layout = { ...found, dtype: reducibleDtype(found.dtype, options.dtype, 'the data') }
    const outLayout = options.out === undefined ? undefined : checkOut(data, options.out, layout)
    const withCoefficients = options.coefficients === true
    const algorithm = checkAlgorithm(options.algorithm, this.size)
    const byteLength = layout.elementCount * layout.dtype.byteLength
    const schedule = algorithm === 'auto' ? allReduceSchedule(this.size, byteLength) : algorithm
    const levels = schedule === 'direct' ? undefined : this.#plannerOf(schedule).plan(layout)
    const descriptor = {
      ...describe('all-reduce', layout),
      resultDtype: (outLayout ?? layout).dtype.code,
      op: OP_CODES[op],
      schedule: SCHEDULES[schedule],
      onNonFinite: NON_FINITE_CODES[onNonFinite],
      flags: withCoefficients ? WITH_COEFFICIENTS : 0,
    }
    const width = op !== 'adasum' ? 0 : withCoefficients ? 1 + this.size : 1
    return { op, onNonFinite, layout, outLayout, width, levels, descriptor }
  }

  #plannerOf(kind: LevelKind): LevelPlanner {
    let planner = this.#planners.get(kind)
    if (!planner) this.#planners.set(kind, (planner = new LevelPlanner(kind, this.size, this.rank)))
    return planner
  }
}

interface AllReducePlan {
  readonly op: ReduceOp
  readonly onNonFinite: OnNonFinite
  readonly layout: Layout
  /** That of `out`, if it was given: as `layout`, but possibly f32 where that is a half format. */
  readonly outLayout: Layout | undefined
  /** Numbers of statistics a segment. */
  readonly width: number
  /** This rank's part in the schedule; undefined for the direct one. */
  readonly levels: readonly Level[] | undefined
  readonly descriptor: Descriptor
}

function describe(collective: keyof typeof COLLECTIVES, layout: Layout): Descriptor {
  return {
    ...NO_DESCRIPTOR,
    collective: COLLECTIVES[collective],
    dtype: layout.dtype.code,
    resultDtype: layout.dtype.code,
    elementCount: layout.elementCount,
    segmentCount: layout.segmentElementCounts.length,
    layoutHash: layout.hash,
  }
}
