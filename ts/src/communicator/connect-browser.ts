/** `connect` in a browser. The first call loads the rest of the code, since most pages have no use for it. */
import type { ConnectOptions } from '../connect-options.ts'
import type { Communicator } from './communicator.ts'

/**
 * Makes a world of one rank, so that a program for several ranks works in a page, too, as it does in one process of
 * Node.js. There are no other ranks, since they would meet over TCP, which a browser does not have.
 *
 * @throws AdasumError ERR_UNSUPPORTED for options that name other ranks; ERR_ARGUMENT; ERR_BINDING if the WebAssembly
 *   module cannot be loaded; ERR_ABORTED
 */
export async function connect(options?: ConnectOptions): Promise<Communicator> {
  const { connectAlone } = await import('./connect-alone.ts')
  return connectAlone(options)
}
