/** Memory for what ranks exchange: flat arrays, in shared memory where there is some. */
import { type FlatWeights, newFlat, type WeightDtype } from '../optim/flat-weights.ts'
import type { Collectives } from './collectives.ts'

const ALLOCATED_NAMES = { float32: 'f32', int32: 'i32', uint32: 'u32', bool: 'u8' } as const

/** A zeroed array that ranks of this machine read where it lies, if they can. */
export function newExchanged(comm: Collectives, dtype: WeightDtype, elementCount: number): FlatWeights {
  return comm.allocate?.(ALLOCATED_NAMES[dtype], elementCount) ?? newFlat(dtype, elementCount)
}

/** Arrays of one communicator that are used again: the longest one of each dtype. One exchange has them at a time. */
export class FlatMemory {
  readonly #comm: Collectives
  readonly #longest = new Map<WeightDtype, FlatWeights>()

  constructor(comm: Collectives) {
    this.#comm = comm
  }

  /** An array of `elementCount` elements, with undefined contents. */
  of(dtype: WeightDtype, elementCount: number): FlatWeights {
    let longest = this.#longest.get(dtype)
    if (longest === undefined || longest.length < elementCount) {
      longest = newExchanged(this.#comm, dtype, elementCount)
      this.#longest.set(dtype, longest)
    }
    return longest.subarray(0, elementCount)
  }

  /** Lets go of all arrays: after a failure they are not used again. */
  clear(): void {
    this.#longest.clear()
  }
}
