import { checkOptions } from '../../tensor/check.ts'
import { checkCommunicator, type Collectives } from '../../training/collectives.ts'
import { broadcastFlat } from '../../training/equal-weights.ts'
import { FlatMemory } from '../../training/flat-memory.ts'
import {
  reduceFlat,
  WEIGHT_REDUCE_OPTIONS,
  type WeightReduceOptions,
  type WeightReduction,
} from '../../training/flat-reduction.ts'
import { callOptionsOf } from '../../training/options.ts'
import { CALL_OPTIONS, type CallOptions, type OptionNames } from '../../types.ts'
import { ArrayWeights } from './array-weights.ts'
import { type ArrayTree, Pytree } from './pytree.ts'

/** Options of `broadcast`. */
export interface BroadcastOptions extends CallOptions {
  /** The rank whose arrays all ranks get. Default 0. */
  root?: number
}

/** What `allReduce` gives: the tree, and what was done to each leaf. */
export interface TreeReduction<T> extends WeightReduction {
  /** A tree of the structure of the argument, with the same bits on every rank. */
  result: T
}

const BROADCAST_OPTIONS: OptionNames<BroadcastOptions> = { root: true, ...CALL_OPTIONS }
const ADVICE = 'Pass trees with the same paths, shapes and dtypes on every rank.'

/**
 * Gives every rank the root's arrays, bit for bit, of float32, int32, uint32 and bool. Leaves are matched by path.
 *
 * @param tree - arrays in lists and plain objects. Used up as jax-js uses arguments up, also by a failure: pass
 *   `tree.ref(params)` to keep it
 * @returns a tree of the same structure; on the root its own arrays
 * @throws AdasumError ERR_MISMATCH with the first path at which the trees of two ranks differ; ERR_ARGUMENT and
 *   ERR_UNSUPPORTED for a leaf that is no array or of another dtype; the communicator's errors
 */
export async function broadcast<T extends ArrayTree>(
  tree: T,
  comm: Collectives,
  options: BroadcastOptions = {},
): Promise<T> {
  const { result } = await onLeaves(tree, comm, 'broadcast()', (weights, memory) => {
    checkOptions(options, BROADCAST_OPTIONS)
    const setting = { caller: 'broadcast()', advice: ADVICE, memory }
    return broadcastFlat(weights, comm, { root: options.root ?? 0, ...callOptionsOf(options) }, setting)
  })
  return result
}

/**
 * Combines the arrays of all ranks by an operator, each leaf by itself: gradients between `valueAndGrad` and the
 * optimizer, say. Leaves are matched by path; with op `adasum` each is a segment.
 *
 * @param tree - arrays in lists and plain objects. Used up as jax-js uses arguments up, also by a failure
 * @param options - `op` is required. Integers take `sum`, `min` and `max` only, bool `min` and `max`
 * @returns the combined tree, and what was done to each leaf, sorted by path
 * @throws AdasumError ERR_MISMATCH with the first path at which the trees of two ranks differ; ERR_ARGUMENT and
 *   ERR_UNSUPPORTED for a leaf that is no array, of another dtype, or not for this operator; ERR_NON_FINITE; the
 *   communicator's errors
 */
export async function allReduce<T extends ArrayTree>(
  tree: T,
  comm: Collectives,
  options: WeightReduceOptions,
): Promise<TreeReduction<T>> {
  const { result, outcome } = await onLeaves(tree, comm, 'allReduce()', (weights, memory) => {
    checkOptions(options, WEIGHT_REDUCE_OPTIONS)
    return reduceFlat(weights, comm, options, { caller: 'allReduce()', advice: ADVICE, memory })
  })
  return { result, ...outcome }
}

/** Takes over a tree, and works on its leaves when earlier calls have ended; a failure leaves nothing behind. */
async function onLeaves<T extends ArrayTree, R>(
  tree: T,
  comm: Collectives,
  caller: string,
  work: (weights: ArrayWeights, memory: FlatMemory) => Promise<R>,
): Promise<{ result: T; outcome: R }> {
  const pytree = new Pytree(tree, caller)
  const weights = new ArrayWeights(pytree.leaves)
  try {
    checkCommunicator(comm)
    const outcome = await turnsOf(comm).take((memory) => work(weights, memory))
    return { result: pytree.with(weights.take()), outcome }
  } finally {
    weights.replace([])
  }
}

/**
 * One call at a time has the buffers of a communicator. A call is several collectives, which would otherwise mix with
 * those of the next call in an order that depends on the rank.
 */
class Turns {
  readonly #memory: FlatMemory
  #last: Promise<unknown> = Promise.resolve()

  constructor(comm: Collectives) {
    this.#memory = new FlatMemory(comm)
  }

  take<R>(work: (memory: FlatMemory) => Promise<R>): Promise<R> {
    const turn = this.#last.then(() => work(this.#memory))
    this.#last = turn.catch(() => this.#memory.clear())
    return turn
  }
}

const TURNS = new WeakMap<Collectives, Turns>()

function turnsOf(comm: Collectives): Turns {
  const turns = TURNS.get(comm) ?? new Turns(comm)
  TURNS.set(comm, turns)
  return turns
}
