/** Launchers that number their processes, but do not say where these could meet. */
import { type Environment, type Variable, isNumber } from '../variables.ts'
import type { Launch } from './launcher.ts'

/**
 * What such a launcher says, or undefined if it has not started this process. A variable counts if it holds a whole
 * number.
 *
 * @param rank - the name of the variable with the number of this process
 * @param sizes - the first of these that counts says how many there are. None: the launcher does not say
 */
export function numbered(env: Readonly<Environment>, rank: string, sizes: readonly string[]): Launch | undefined {
  const number = numberIn(env, rank)
  const size = sizes.map((name) => numberIn(env, name)).find((found) => found !== undefined)
  if (number === undefined || (size === undefined && sizes.length > 0)) return undefined
  return { rank: number, size }
}

/** Numbers of ten and more digits stand for something else: 4294967291 for the batch script of a Slurm job. */
export function numberIn(env: Readonly<Environment>, name: string): Variable | undefined {
  const text = env[name] ?? ''
  return isNumber(text) ? { name, text } : undefined
}
