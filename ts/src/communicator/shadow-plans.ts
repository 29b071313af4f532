/**
 * What a rank knows of the all-reduces that it has made, so that it can take part in them with weight 0 once it has
 * joined. All it gets then is a descriptor, which has a hash of the segments in place of the segments.
 */
import { Compressor } from '../compressor.ts'
import { type Descriptor, sameDescriptor } from '../wire/frame.ts'
import type { AllReducePlan } from './reduce-plan.ts'

/** How many kinds of all-reduces a rank remembers. A training loop has one, or one for each array of its model. */
const MOST_PLANS = 256

export class ShadowPlans {
  /** The one that was made last comes last. */
  readonly #plans = new Map<string, AllReducePlan>()

  /** Remembers how an all-reduce with weights is made. */
  note(plan: AllReducePlan): void {
    // The descriptor does not say which function of a caller's it is.
    if (plan.operation.name === 'custom') return
    const key = keyOf(plan.descriptor)
    const known = this.#plans.get(key)
    this.#plans.delete(key)
    this.#plans.set(key, known ?? { ...plan, weight: 0, compressor: withoutResiduals(plan.compressor) })
    for (const oldest of this.#plans.keys()) if (this.#plans.size > MOST_PLANS) this.#plans.delete(oldest)
  }

  /** The plan for an all-reduce of the others; undefined if this rank has made none like it. */
  get(descriptor: Descriptor): AllReducePlan | undefined {
    const plan = this.#plans.get(keyOf(descriptor))
    return plan && sameDescriptor(plan.descriptor, descriptor) ? plan : undefined
  }
}

function keyOf(descriptor: Descriptor): string {
  const { op, dtype, resultDtype, schedule, onNonFinite, flags, elementCount, layoutHash } = descriptor
  return String.fromCharCode(op, dtype, resultDtype, schedule, onNonFinite, flags, ...layoutHash) + elementCount
}

/** The caller's residuals are of the caller's gradients, and stay as they are. */
function withoutResiduals(compressor: Compressor | undefined): Compressor | undefined {
  if (!compressor) return undefined
  const { format, blockElementCount } = compressor
  return new Compressor({ format, ...(format === 'int8' && { blockElementCount }), errorFeedback: false })
}
