import type { Communicator } from '../../communicator/communicator.ts'
import type { ConnectOptions } from '../../types.ts'

/** What `connect` is told of the transport that was asked for, if one was. */
export function optionsFor(wanted: string | undefined): Pick<ConnectOptions, 'sharedMemory'> {
  return wanted === undefined ? {} : { sharedMemory: wanted === 'shared-memory' }
}

/** Of a message that does not travel in one small frame. */
const PROBE_ELEMENTS = 32 << 10

/**
 * How the ranks reach each other, found out by a message that is long enough to be read in shared memory; undefined, with
 * exit code 1, if that is not what was asked for.
 */
export async function transportOf(comm: Communicator, wanted: string | undefined): Promise<string | undefined> {
  await comm.allToAll(new Float32Array(comm.size * PROBE_ELEMENTS))
  const found = comm.transport
  if (wanted === undefined || comm.size === 1 || found === wanted) return found
  if (comm.rank === 0)
    console.error(`adasum bench: these ranks use ${found}, not ${wanted}. \`adasum doctor\` may say why.`)
  process.exitCode = 1
  return undefined
}
