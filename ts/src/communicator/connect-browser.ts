/** `connect` as a page has it at once: the rest comes with the first call, since most pages have no use for it. */
import type { ConnectOptions } from '../types.ts'
import type { Communicator } from './communicator.ts'

/**
 * A world of one rank: what is written for several runs in a page, too, as it runs in one process of Node.js. Ranks meet over
 * TCP, which a browser does not have.
 *
 * @throws AdasumError ERR_UNSUPPORTED for options that name other ranks; ERR_ARGUMENT; ERR_BINDING if the WebAssembly module
 *   cannot be loaded; ERR_ABORTED
 */
export async function connect(options?: ConnectOptions): Promise<Communicator> {
  const { connectAlone } = await import('./connect-alone.ts')
  return connectAlone(options)
}
