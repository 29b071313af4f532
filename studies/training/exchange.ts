/** How workers combine: in one process by the local functions, or each in a process of its own by an all-reduce. */
import { type Communicator, Compressor, type Operator, type ReduceOp, type SegmentReduction, reduceSync } from 'adasum'
import type { Cell, StudyOp } from './cell.ts'

export interface Combined {
  readonly result: Float32Array
  readonly segments: readonly SegmentReduction[]
}

export interface Exchange {
  /** The workers of so many that are computed in this process. */
  workersHere(count: number): readonly number[]
  /** @throws AdasumError ERR_NON_FINITE */
  combine(op: StudyOp, inputs: readonly Float32Array[], segments: readonly number[]): Promise<Combined>
  /** The mean loss of all workers, the same in every process. */
  meanLoss(losses: readonly number[]): Promise<number>
}

/** Operators over a whole Gram matrix take so many inputs at once; more are combined in groups first. */
const MOST_AT_ONCE = 16

/** kappa of damped Adasum, and tau of the filter by agreement: inputs that point away from each other are left out. */
const KAPPA = 0.5
const TAU = 1

export function operatorOf(op: StudyOp): ReduceOp | Operator {
  switch (op) {
    case 'damped':
      return { name: 'adasum', kappa: KAPPA }
    case 'adascale':
      return { name: 'adascale' }
    case 'adacons':
      return { name: 'adacons' }
    case 'gaf':
      return { name: 'gaf', tau: TAU }
    default:
      return op
  }
}

/** All workers in this process. */
export const simulated: Exchange = {
  workersHere: (count) => Array.from({ length: count }, (_, worker) => worker),
  async combine(op, inputs, segments) {
    return combineLocally(op, inputs, segments)
  },
  async meanLoss(losses) {
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length
  },
}

export function combineLocally(op: StudyOp, inputs: readonly Float32Array[], segments: readonly number[]): Combined {
  const isWhole = op === 'adacons' || op === 'gaf'
  if (!isWhole || inputs.length <= MOST_AT_ONCE) return reduceSync(inputs, { op: operatorOf(op), segments })
  const groups = Array.from({ length: Math.ceil(inputs.length / MOST_AT_ONCE) }, (_, index) =>
    inputs.slice(index * MOST_AT_ONCE, (index + 1) * MOST_AT_ONCE),
  )
  return combineLocally(
    op,
    groups.map((group) => combineLocally(op, group, segments).result),
    segments,
  )
}

/** One worker in each process of a world. @param precision - the format in which they exchange; default f32 */
export function betweenProcesses(comm: Communicator, precision?: Cell['precision']): Exchange {
  const compression = precision && { compressor: new Compressor({ format: precision }) }
  return {
    workersHere(count) {
      if (count !== comm.size) throw new Error(`${count} workers need as many processes; there are ${comm.size}.`)
      return [comm.rank]
    },
    async combine(op, inputs, segments) {
      return comm.allReduce(inputs[0]!, { op: operatorOf(op), segments, ...compression })
    },
    async meanLoss(losses) {
      // A loss that is not finite must reach all ranks.
      const all = await comm.allReduce(Float64Array.of(losses[0]!), { op: 'sum', onNonFinite: 'propagate' })
      return all.result[0]! / comm.size
    },
  }
}
