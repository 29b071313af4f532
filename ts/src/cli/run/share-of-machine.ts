/** What each rank of a machine gets of it: cores, for programs that would take all of them, and GPUs. */
import { CommandError } from '../command-error.ts'

/** How many threads TensorFlow computes with, in one operation and among several: all cores, where nobody says. */
const THREADS = ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS']
const DEVICES = 'CUDA_VISIBLE_DEVICES'

/**
 * Variables with which TensorFlow takes a rank's share of the cores: ranks that each take all of them wait for one another.
 *
 * @param environment - what is set there already stays as it is
 */
export function threadVariables(cores: number, localSize: number, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const share = String(Math.max(1, Math.floor(cores / localSize)))
  return Object.fromEntries(THREADS.filter((name) => environment[name] === undefined).map((name) => [name, share]))
}

/**
 * The variable with which CUDA shows a rank devices of its own, of those that it would show to all: rank i of the machine gets
 * `count` of them, from the i * `count`-th on.
 *
 * @returns one environment a rank; without `count` they are empty
 * @throws CommandError if the environment lists too few devices. How many there are where it lists none is not known.
 */
export function deviceVariables(
  count: number | undefined,
  localSize: number,
  environment: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv[] {
  const ranks = Array.from({ length: localSize }, (_, localRank) => localRank)
  if (count === undefined) return ranks.map(() => ({}))
  const needed = count * localSize
  const list = environment[DEVICES]
  const devices = list === undefined ? Array.from({ length: needed }, (_, index) => String(index)) : visible(list)
  if (devices.length < needed) {
    throw new CommandError(
      `--gpus-per-rank ${count} for -n ${localSize} needs ${needed} devices, but ${DEVICES}="${list}" shows ${devices.length}; nothing was started`,
    )
  }
  return ranks.map((rank) => ({ [DEVICES]: devices.slice(rank * count, (rank + 1) * count).join() }))
}

/** As CUDA reads a list: nothing from the first entry on that is no device, such as -1. Devices have numbers or names. */
function visible(list: string): string[] {
  const entries = list.split(',').map((entry) => entry.trim())
  const end = entries.findIndex((entry) => !/^\w/.test(entry))
  return end === -1 ? entries : entries.slice(0, end)
}
