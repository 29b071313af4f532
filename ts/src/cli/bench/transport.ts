import type { Communicator } from '../../communicator/communicator.ts'
import type { ConnectOptions } from '../../connect-options.ts'

/** The options of `connect` for the transport that the command line names, if it names one. */
export function optionsFor(requested: string | undefined): Pick<ConnectOptions, 'sharedMemory'> {
  return requested === undefined ? {} : { sharedMemory: requested === 'shared-memory' }
}

/** Elements of a message that is too long for one small frame. */
const PROBE_ELEMENTS = 32 << 10

/**
 * How the ranks reach each other, found out by a message that is long enough to be read in shared memory; undefined,
 * with exit code 1, if that is not what the command line names.
 */
export async function transportOf(comm: Communicator, requested: string | undefined): Promise<string | undefined> {
  await comm.allToAll(new Float32Array(comm.size * PROBE_ELEMENTS))
  const found = comm.transport
  if (requested === undefined || comm.size === 1 || found === requested) return found
  if (comm.rank === 0)
    console.error(`adasum bench: these ranks use ${found}, not ${requested}. \`adasum doctor\` may say why.`)
  process.exitCode = 1
  return undefined
}
