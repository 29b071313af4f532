/** What stands for `connect` in a browser. */
import { AdasumError } from '../errors.ts'
import type { ConnectOptions } from '../types.ts'

/**
 * Ranks meet over TCP, which a browser does not have.
 *
 * @throws AdasumError ERR_UNSUPPORTED, always
 */
export async function connect(_options?: ConnectOptions): Promise<never> {
  throw new AdasumError(
    'ERR_UNSUPPORTED',
    'connect() needs TCP, which a browser does not have. Here use adasum(), sum() and average() on gradients of this page, such as those of accumulated micro-batches; ranks run in Node.js.',
  )
}
