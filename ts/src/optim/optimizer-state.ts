/** What an optimizer keeps between steps, and its form as named arrays, as a checkpoint has it. */
import { typedArrayName } from '../binding/typed-array.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import { wholeNumber } from '../tensor/check.ts'
import { type FloatArray, type FloatDtype, newFloats } from './float-array.ts'
import type { Rule } from './rules.ts'
import type { SegmentPlan } from './segments.ts'

/** An optimizer's state. */
export interface SavedState {
  /** Steps that have been done. */
  readonly stepCount: number
  /** By `<what it is>/<name of the segment>`, such as `m/dense/kernel`. */
  readonly arrays: Readonly<Record<string, FloatArray>>
}

interface Kept {
  readonly rule: Rule
  readonly dtype: FloatDtype
  readonly segments: SegmentPlan
}

export class OptimizerState {
  stepCount = 0
  /** One for each of the rule's names, as long as the weights. */
  readonly arrays: readonly FloatArray[]
  readonly #kept: Kept

  constructor(kept: Kept) {
    this.#kept = kept
    const elementCount = kept.segments.begins.at(-1)!
    this.arrays = kept.rule.stateNames.map(() => newFloats(kept.dtype, elementCount))
  }

  save(): SavedState {
    return {
      stepCount: this.stepCount,
      arrays: Object.fromEntries(this.#views().map(([n, view]) => [n, view.slice()])),
    }
  }

  /** @throws AdasumError ERR_ARGUMENT, and then nothing has been changed */
  restore(saved: SavedState): void {
    const views = this.#views()
    const { stepCount, arrays } = reading('the state', () => ({
      stepCount: saved.stepCount,
      arrays: { ...saved.arrays },
    }))
    wholeNumber(stepCount, 'stepCount')
    const unknown = Object.keys(arrays).find((name) => !views.some(([known]) => known === name))
    if (unknown !== undefined) refuse(`the state has ${inspect(unknown)}, which this optimizer does not keep`)
    for (const [name, view] of views) checkFits(name, arrays[name], view)
    for (const [name, view] of views) view.set(arrays[name]!)
    this.stepCount = stepCount
  }

  /** The part of each segment in each array. */
  #views(): [name: string, view: FloatArray][] {
    const { rule, segments } = this.#kept
    return rule.stateNames.flatMap((what, index) =>
      segments.segments.map(({ name }, i): [string, FloatArray] => [
        `${what}/${name}`,
        this.arrays[index]!.subarray(segments.begins[i], segments.begins[i + 1]),
      ]),
    )
  }
}

function checkFits(name: string, array: unknown, view: FloatArray): void {
  if (typedArrayName(array) !== view.constructor.name)
    refuse(`${inspect(name)} must be a ${view.constructor.name}, and is ${typedArrayName(array) ?? typeof array}`)
  const { length } = array as FloatArray
  if (length !== view.length) refuse(`${inspect(name)} has ${length} elements, and its segment ${view.length}`)
}

function refuse(what: string): never {
  throw new AdasumError('ERR_ARGUMENT', `${what}. Restore the state of an optimizer of the same rule and segments.`)
}
