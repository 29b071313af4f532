import * as tf from '@tensorflow/tfjs-core'
import type { FileTensor, TensorSpec } from '../../checkpoint/tensors.ts'
import { AdasumError } from '../../errors.ts'
import { specOf, tensorOf } from './stored-variables.ts'

/** Before the names of an optimizer's arrays: what they are of, then the class. */
const PREFIX = 'optimizer/'

/**
 * What an optimizer keeps from step to step, by name. Besides what `getWeights` gives, that is variables such as Adam's powers
 * of beta, which `setWeights` would compute anew with other roundings.
 *
 * @throws AdasumError ERR_UNSUPPORTED for an optimizer that does not hand out its state
 */
export async function optimizerArrays(optimizer: tf.Optimizer): Promise<Map<string, TensorSpec>> {
  const prefix = prefixOf(optimizer)
  const weights = await weightsOf(optimizer)
  const arrays = new Map<string, TensorSpec>()
  for (const [index, { name, tensor }] of weights.entries()) {
    arrays.set(`${prefix}${index}/${name}`, await specOf(tensor))
    // The count of steps is a tensor that was made for the caller.
    if (!(tensor instanceof tf.Variable)) tensor.dispose()
  }
  for (const [name, variable] of variablesIn(optimizer)) arrays.set(`${prefix}state/${name}`, await specOf(variable))
  return arrays
}

/** @throws AdasumError ERR_MISMATCH if there is no state, or one of an optimizer of another class */
export function checkOptimizerArrays(optimizer: tf.Optimizer, stored: ReadonlyMap<string, FileTensor>): void {
  const prefix = prefixOf(optimizer)
  const other = [...stored.keys()].find((name) => name.startsWith(PREFIX))
  if (other?.startsWith(prefix)) return
  const theirs = other === undefined ? 'of no optimizer' : `of ${other.split('/')[1]}`
  throw new AdasumError(
    'ERR_MISMATCH',
    `the checkpoint has the state ${theirs}, the optimizer is ${optimizer.getClassName()}. Use the optimizer that was saved.`,
  )
}

/** Gives an optimizer what another one of its class had. Its own state from before is disposed of. */
export async function setOptimizerArrays(
  optimizer: tf.Optimizer,
  stored: ReadonlyMap<string, FileTensor>,
): Promise<void> {
  const prefix = prefixOf(optimizer)
  const mine = [...stored].filter(([name]) => name.startsWith(prefix))
  const isVariable = ([name]: [string, FileTensor]): boolean => name.startsWith(`${prefix}state/`)
  const weights = mine.filter((entry) => !isVariable(entry)).map(([name, tensor]) => {
    return { name: name.slice(prefix.length).replace(/^\d+\//, ''), tensor: tensorOf(tensor) }
  }) // prettier-ignore
  const before = await weightsOf(optimizer)
  await optimizer.setWeights(weights)
  // The optimizer has variables of its own over the memory of these.
  tf.dispose([...before, ...weights].map(({ tensor }) => tensor))
  const variables = new Map(variablesIn(optimizer))
  for (const [name, tensor] of mine.filter(isVariable))
    tf.tidy(() => variables.get(name.slice(`${prefix}state/`.length))?.assign(tensorOf(tensor)))
}

const prefixOf = (optimizer: tf.Optimizer): string => `${PREFIX}${optimizer.getClassName()}/`

function variablesIn(optimizer: tf.Optimizer): [name: string, variable: tf.Variable][] {
  const isVariable = (entry: [string, unknown]): entry is [string, tf.Variable] => entry[1] instanceof tf.Variable
  return Object.entries(optimizer).filter(isVariable)
}

async function weightsOf(optimizer: tf.Optimizer): Promise<{ name: string; tensor: tf.Tensor }[]> {
  try {
    return await optimizer.getWeights()
  } catch (cause) {
    const message = `${optimizer.getClassName()} does not hand out its state (getWeights). Use another optimizer, or save without it.`
    throw new AdasumError('ERR_UNSUPPORTED', message, { cause })
  }
}
