/** Which variables something holds for: `decays`, `orthogonalizes`. */
import type * as tf from '@tensorflow/tfjs-core'
import { AdasumError, inspect } from '../../../errors.ts'
import { kindOf } from '../../../tensor/check.ts'

/** What `decays` and `orthogonalizes` are asked about. */
export interface DecayedVariable {
  /** Its name. */
  readonly name: string
  /** The size of each of its dimensions. */
  readonly shape: readonly number[]
}

/** Which variables decay, or are orthogonalized: a function, or a list by position. */
export type Decays = ((variable: DecayedVariable) => boolean) | readonly boolean[]

/**
 * ERR_ARGUMENT unless it is a function or a list of true and false.
 *
 * @param what - the option's name
 * @returns a copy of a list
 */
export function readChoice(choice: unknown, what: string): Decays | undefined {
  if (choice === undefined || typeof choice === 'function') return choice as Decays | undefined
  if (Array.isArray(choice) && choice.every((answer) => typeof answer === 'boolean')) return [...choice]
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${what} is ${kindOf(choice)}; it must be a function of a variable, or an array of true and false.`,
  )
}

/** @throws AdasumError ERR_ARGUMENT if there is no answer for this variable */
export function answerFor(choice: Decays, what: string, { name, shape }: tf.Variable, index: number): boolean {
  const answer: unknown = typeof choice === 'function' ? choice({ name, shape: [...shape] }) : choice[index]
  if (typeof answer === 'boolean') return answer
  const found =
    typeof choice === 'function' ? `${what} returned ${kindOf(answer)}` : `${what} has ${choice.length} elements`
  throw new AdasumError(
    'ERR_ARGUMENT',
    `${found} for variable ${index + 1}, ${inspect(name)}. Say true or false for each variable.`,
  )
}

/**
 * A choice as a list, which can be saved.
 *
 * @param answers - those for the variables so far; undefined where they have not been asked for
 * @throws AdasumError ERR_NOT_READY if it is a function and not all variables are known
 */
export function choiceList(choice: Decays, what: string, answers: readonly (boolean | undefined)[]): boolean[] {
  if (answers.length > 0 && answers.every((answer) => answer !== undefined)) return [...answers]
  if (typeof choice !== 'function') return [...choice]
  throw new AdasumError(
    'ERR_NOT_READY',
    `${what} is a function, and which variables there are shows in the first step. Save after it, or give a list.`,
  )
}
