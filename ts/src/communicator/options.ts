/** What the communicator's methods take and give back. */
import type { Backend } from '../reduction/local.ts'
import {
  ALL_REDUCE_OPTIONS,
  type AllReduceOptions,
  CALL_OPTIONS,
  type CallOptions,
  type Operator,
  type OptionNames,
  REDUCE_OPTIONS,
  type ReduceOptions,
  type AllReduceOp,
  type ReduceOp,
} from '../types.ts'

/** Options of `broadcast`. */
export interface BroadcastOptions extends CallOptions {
  /** The rank whose data all ranks get. Default 0. */
  root?: number
}

export const BROADCAST_OPTIONS: OptionNames<BroadcastOptions> = { root: true, ...CALL_OPTIONS }

/** Options of `allGather`. */
export interface GatherOptions extends CallOptions {
  /** Ranks may have different lengths. Default false. */
  uneven?: boolean
}

/** Options of `allToAll`. */
export interface AllToAllOptions extends CallOptions {
  /** Elements for each rank, in rank order. Default: equal parts. */
  counts?: ArrayLike<number>
}

/** Options of `send`. */
export interface SendOptions extends CallOptions {
  /** The rank that receives. */
  to: number
}

/** Options of `receive`. */
export interface ReceiveOptions extends CallOptions {
  /** The rank that sends. */
  from: number
}

/** Options of `reduceScatter`. */
export interface ReduceScatterOptions<R, Op extends AllReduceOp | Operator = AllReduceOp | Operator>
  extends Omit<ReduceOptions<R>, 'out'>, CallOptions {
  /** Integers take `sum`, `min` and `max` only. */
  op: Op
  /** Receives this rank's part. It must be as long, and of the data's dtype, or f32 where that is a half format. */
  out?: R
  /** Elements of the parts, in rank order. Default: equal parts. */
  counts?: ArrayLike<number>
  /** How much this rank's data counts, as in allReduce. */
  weight?: number
}

/** Options of `allReduce` for several arrays of each rank: its micro-batches. */
export interface MicroBatchOptions<
  R,
  Op extends AllReduceOp | Operator = AllReduceOp | Operator,
> extends AllReduceOptions<R, Op> {
  /**
   * The operator by which a rank combines its micro-batches, before `op` combines the ranks. The same on every rank.
   */
  local: ReduceOp
  /** Where this rank combines its arrays, as in the local functions. Ranks may differ. Default `cpu`. */
  backend?: Backend
}

/** A rank's share of some items: from `begin` to before `end`. */
export interface Shard {
  /** The first item. */
  readonly begin: number
  /** The item behind the last one. */
  readonly end: number
}

/** What all ranks have sent to this one. */
export interface Gathered<A> {
  /** In rank order. */
  result: A
  /** How many elements each rank has sent. */
  counts: number[]
}

/** What `join` resolves to, the same on every rank. */
export interface Joined {
  /** The rank that joined last, and so has seen the most data: the highest of several that joined after the same call. */
  lastRank: number
}

export const GATHER_OPTIONS: OptionNames<GatherOptions> = { uneven: true, ...CALL_OPTIONS }
export const ALL_TO_ALL_OPTIONS: OptionNames<AllToAllOptions> = { counts: true, ...CALL_OPTIONS }
export const SEND_OPTIONS: OptionNames<SendOptions> = { to: true, ...CALL_OPTIONS }
export const RECEIVE_OPTIONS: OptionNames<ReceiveOptions> = { from: true, ...CALL_OPTIONS }
export const REDUCE_SCATTER_OPTIONS: OptionNames<ReduceScatterOptions<unknown>> = {
  op: true,
  counts: true,
  weight: true,
  ...REDUCE_OPTIONS,
  ...CALL_OPTIONS,
}
export const MICRO_BATCH_OPTIONS: OptionNames<MicroBatchOptions<unknown>> = {
  ...ALL_REDUCE_OPTIONS,
  local: true,
  backend: true,
}
