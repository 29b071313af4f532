/**
 * The two moments of each variable that an optimizer steps, in the order of the last step: a program that loads them
 * will step the same variables, also if some were frozen at first. Names tell variables apart within a process. Moments
 * that were saved know no variable: another process may have named them differently, so they go by position and shape.
 */
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError, inspect } from '../../../errors.ts'

/** tfjs-core does not export it. */
export type NamedTensor = Parameters<tf.Optimizer['setWeights']>[0][number]

/** The moments of one variable. */
export interface Slot {
  /** The variable's name; before `decays` is known, that of the variable from which the moments were saved. */
  name: string
  /** Whether the weight decays; undefined for moments that were saved, until their variable comes. */
  decays: boolean | undefined
  readonly first: tf.Variable
  readonly second: tf.Variable
}

/** Whether a variable decays. @param index - its position in the step */
export type DecayOf = (variable: tf.Variable, index: number) => boolean

export class Moments {
  #slots: Slot[] = []

  get slots(): readonly Slot[] {
    return this.#slots
  }

  /**
   * The moments of variables; zeros for those that are new.
   *
   * @throws AdasumError ERR_ARGUMENT if shapes disagree, and then nothing has changed; and whatever `decayOf` throws
   */
  of(variables: readonly tf.Variable[], decayOf: DecayOf): Slot[] {
    const known = new Map(this.#slots.filter(({ decays }) => decays !== undefined).map((slot) => [slot.name, slot]))
    const saved = this.#slots.filter(({ decays }) => decays === undefined)
    const found = variables.map((variable) => ({ variable, slot: known.get(variable.name) ?? saved.shift() }))
    const chosen = found.map(({ variable, slot }, index) => {
      if (slot) checkShape(variable, slot)
      return slot?.decays ?? decayOf(variable, index)
    })
    const slots = found.map(({ variable, slot = this.#add(variable) }, index) => {
      slot.name = variable.name
      slot.decays = chosen[index]
      return slot
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
    const odd = firsts.find(({ tensor }, i) => !tf.util.arraysEqual(tensor.shape, seconds[i]?.tensor.shape ?? []))
    if (!Number.isInteger(count) || odd !== undefined)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${values.length} tensors follow the step count, and they are no first and second moments of equal shapes` +
          `${odd === undefined ? '' : ` (${inspect(odd.name)})`}. Pass what getWeights() of the same optimizer returned.`,
      )
    const slots = firsts.map(({ name, tensor }, i): Slot => {
      const [first, second] = [tf.variable(tensor, false), tf.variable(seconds[i]!.tensor, false)]
      return { name: name.replace(/\/m$/, ''), decays: undefined, first, second }
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

  #add(variable: tf.Variable): Slot {
    const zeros = (): tf.Variable => tf.tidy(() => tf.variable(tf.zerosLike(variable), false))
    const slot: Slot = { name: variable.name, decays: undefined, first: zeros(), second: zeros() }
    this.#slots.push(slot)
    return slot
  }
}

function checkShape({ name, shape }: tf.Variable, slot: Slot): void {
  if (tf.util.arraysEqual(shape, slot.first.shape)) return
  throw new AdasumError(
    'ERR_ARGUMENT',
    `variable ${inspect(name)} is [${shape.join()}], and the moments at its place, of ${inspect(slot.name)}, are ` +
      `[${slot.first.shape.join()}]. Use one optimizer for each model, and the variables in the order in which they were saved.`,
  )
}
