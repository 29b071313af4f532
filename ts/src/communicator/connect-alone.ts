/** A world of one rank, in a browser. */
import { readyBinding } from '#binding'
import { AdasumError, connectingAborted, inspect, reading } from '../errors.ts'
import { checkSignal } from '../group/call-options.ts'
import { checkOptions, copyOptions } from '../tensor/check.ts'
import { resolveTuning } from '../tuning.ts'
import { CONNECT_OPTIONS, type ConnectOptions } from '../connect-options.ts'
import { ROUTE_TO_ONESELF } from '../world/route.ts'
import { World } from '../world/world.ts'
import { Communicator } from './communicator.ts'

/** What `connect` of connect-browser.ts does, which loads this file. */
export async function connectAlone(given: ConnectOptions = {}): Promise<Communicator> {
  checkOptions(given, CONNECT_OPTIONS)
  const options = copyOptions(given, CONNECT_OPTIONS)
  requireAlone(options)
  checkSignal(options.signal)
  const tuning = reading('options', () => resolveTuning(options.tuning, undefined))
  const binding = await readyBinding()
  if (options.signal?.aborted === true) throw connectingAborted(options.signal.reason)
  const release = (): Promise<void> => Promise.resolve()
  const world = new World({ rank: 0, binding, routes: [ROUTE_TO_ONESELF], tuning, release })
  return new Communicator(world, world.openRoot())
}

function requireAlone({ rank = 0, size = 1, store }: ConnectOptions): void {
  if (rank === 0 && size === 1 && store === undefined) return
  const asked = store === undefined ? `rank ${inspect(rank)} of ${inspect(size)}` : `the store ${inspect(store)}`
  throw new AdasumError(
    'ERR_UNSUPPORTED',
    `connect() was asked for ${asked}, and ranks meet over TCP, which a browser does not have. Without rank, size and store it gives a world of one; several ranks run in Node.js.`,
  )
}
