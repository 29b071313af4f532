/**
 * The two moments of each variable that an optimizer steps, in the order of the last step: a program that loads them
 * will step the same variables, also if some were frozen at first. Names tell variables apart within a process. Moments
 * that were saved know no variable: another process may have named them differently, so they go by position and shape.
 */
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError, inspect } from '../../../errors.ts'

/** tfjs-core does not export it. */
export type NamedTensor = Parameters<tf.Optimizer['setWeights']>[0][number]

/** What the options say of a variable. */
export interface Traits {
  readonly decays: boolean
  /** Whether it is a matrix that Muon steps, which has no second moment. */
  readonly isMatrix: boolean
}

/** The moments of one variable. */
export interface Slot {
  /** The variable's name; before its traits are known, that of the variable from which the moments were saved. */
  name: string
  /** Undefined for moments that were saved, until their variable comes. */
  traits: Traits | undefined
  readonly first: tf.Variable
  /** A scalar in place of it, if there is none. */
  readonly second: tf.Variable
}

/** @param index - the variable's position in the step */
export type TraitsOf = (variable: tf.Variable, index: number) => Traits

export class Moments {
  #slots: Slot[] = []
  readonly #hasMatrices: boolean

  /** @param hasMatrices - whether there may be variables without a second moment */
  constructor(hasMatrices: boolean) {
    this.#hasMatrices = hasMatrices
  }

  get slots(): readonly Slot[] {
    return this.#slots
  }

  /**
   * The moments of variables; zeros for those that are new.
   *
   * @throws AdasumError ERR_ARGUMENT if shapes disagree, and then nothing has changed; and whatever `traitsOf` throws
   */
  of(variables: readonly tf.Variable[], traitsOf: TraitsOf): Slot[] {
    const known = new Map(this.#slots.filter(({ traits }) => traits !== undefined).map((slot) => [slot.name, slot]))
    const saved = this.#slots.filter(({ traits }) => traits === undefined)
    const found = variables.map((variable) => ({ variable, slot: known.get(variable.name) ?? saved.shift() }))
    const chosen = found.map(({ variable, slot }, index) => {
      if (slot) checkShape(variable, slot.first.shape, slot.name)
      if (slot?.traits) return slot.traits
      const traits = traitsOf(variable, index)
      if (slot) checkShape(variable, slot.second.shape, slot.name, traits.isMatrix)
      return traits
    })
    const slots = found.map(({ variable, slot }, index) => {
      const own = slot ?? this.#add(variable, chosen[index]!)
      own.name = variable.name
      own.traits = chosen[index]
      return own
    })
    if (slots.some((slot, index) => slot !== this.#slots[index])) this.#slots = [...new Set([...slots, ...this.#slots])]
    return slots
  }

  /** As tf.AdamOptimizer has them: all first moments, then all second ones; not copies. */
  save(): NamedTensor[] {
    return [
      ...this.#slots.map(({ name, first }) => ({ name: `${name}/m`, tensor: first })),
      ...this.#slots.map(({ name, second }) => ({ name: `${name}/v`, tensor: second })),
    ]
  }

  /**
   * The tensors given stay the caller's, to be disposed of, also if they are those that `save` has returned.
   *
   * @throws AdasumError ERR_ARGUMENT, and then nothing has changed
   */
  restore(values: readonly NamedTensor[]): void {
    const count = values.length / 2
    const [firsts, seconds] = [values.slice(0, count), values.slice(count)]
    const odd = firsts.find(({ tensor }, i) => {
      const shape = seconds[i]?.tensor.shape ?? []
      return !tf.util.arraysEqual(tensor.shape, shape) && !(this.#hasMatrices && tensor.rank > 1 && shape.length === 0)
    })
    if (!Number.isInteger(count) || odd !== undefined)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${values.length} tensors follow the step count, and they are no first and second moments of equal shapes` +
          `${odd === undefined ? '' : ` (${inspect(odd.name)})`}. Pass what getWeights() of the same optimizer returned.`,
      )
    const slots = firsts.map(({ name, tensor }, i): Slot => {
      const [first, second] = [tf.variable(tensor, false), tf.variable(seconds[i]!.tensor, false)]
      return { name: name.replace(/\/m$/, ''), traits: undefined, first, second }
    })
    const given = new Set(values.map(({ tensor }) => tensor))
    tf.dispose(this.#variables().filter((variable) => !given.has(variable)))
    this.#slots = slots
  }

  dispose(): void {
    tf.dispose(this.#variables())
    this.#slots = []
  }

  #variables(): tf.Variable[] {
    return this.#slots.flatMap(({ first, second }) => [first, second])
  }

  #add(variable: tf.Variable, traits: Traits): Slot {
    const zeros = (shape: readonly number[]): tf.Variable =>
      tf.tidy(() => tf.variable(tf.zeros([...shape], variable.dtype as 'float32'), false))
    const [first, second] = [zeros(variable.shape), zeros(traits.isMatrix ? [] : variable.shape)]
    const slot: Slot = { name: variable.name, traits, first, second }
    this.#slots.push(slot)
    return slot
  }
}

/** @param isMatrix - whether the moment is the second one of a matrix, which has none */
function checkShape(
  { name, shape }: tf.Variable,
  moment: readonly number[],
  savedName: string,
  isMatrix = false,
): void {
  if (tf.util.arraysEqual(isMatrix ? [] : shape, [...moment])) return
  throw new AdasumError(
    'ERR_ARGUMENT',
    `variable ${inspect(name)} is [${shape.join()}]${isMatrix ? ', a matrix' : ''}, and the moments at its place, of ` +
      `${inspect(savedName)}, are [${moment.join()}]. Use one optimizer for each model, and the variables in the order in ` +
      'which they were saved.',
  )
}
