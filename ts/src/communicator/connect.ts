/**
 * Connecting: ranks meet at a store and learn each other's addresses. Connections open when a collective first needs
 * them (see world/connections.ts).
 */
import { loadBinding } from '#binding'
import { AdasumError, inspect, reading } from '../errors.ts'
import { checkSignal } from '../group/call-options.ts'
import { Instruments } from '../observe/instruments.ts'
import { type Place, resolvePlace } from '../rendezvous/environment.ts'
import { copyOptions } from '../tensor/check.ts'
import { CONNECT_OPTIONS, type ConnectOptions } from '../connect-options.ts'
import { Session } from '../world/session.ts'
import { NODE_WAYS, securedWays, type Ways } from '../world/ways.ts'
import { Communicator } from './communicator.ts'

/**
 * Joins the world: waits until all ranks have come. Connections to them open when a collective first needs them.
 *
 * Rank, size, store and secret come from the options, then from ADASUM_RANK, ADASUM_SIZE, ADASUM_STORE, ADASUM_SECRET
 * and ADASUM_HOST, then from RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If none is set, the world has one rank. The
 * tuning comes from rank 0: from its option, then from its ADASUM_TUNING. Ranks of one machine read each other's large
 * messages in shared memory, unless `sharedMemory` or ADASUM_SHARED_MEMORY says otherwise. Files for a timeline and for
 * flight records come from the options, then from ADASUM_TIMELINE and ADASUM_FLIGHT_RECORD.
 *
 * @throws AdasumError ERR_ENVIRONMENT (half-set environment), ERR_ARGUMENT, ERR_STORE (unreachable, port in use),
 *   ERR_AUTH (wrong secret), ERR_RANK_TAKEN, ERR_WORLD_SIZE, ERR_TIMEOUT (ranks that did not come), ERR_PEER_LOST,
 *   ERR_ABORTED, ERR_BINDING
 */
export function connect(options: ConnectOptions = {}): Promise<Communicator> {
  return connectBy(NODE_WAYS, options, process.env)
}

/** As `connect`, by ways and an environment that tests may choose. */
export async function connectBy(ways: Ways, given: ConnectOptions, env: NodeJS.ProcessEnv): Promise<Communicator> {
  const binding = loadBinding()
  const options = copyOptions(given, CONNECT_OPTIONS)
  const place = reading('options', () => resolvePlace(options, env))
  checkSignal(options.signal)
  const secured = securedWays(ways, place)
  const session = new Session({ place, ways: secured, binding, instruments: instrumentsFor(place, options.onStall) })
  const { world, ...local } = await session.join(options.signal)
  return new Communicator(world, world.openRoot(), local)
}

function instrumentsFor(
  { rank, size, timeline, flightRecord }: Place,
  onStall: ConnectOptions['onStall'],
): Instruments {
  if (onStall !== undefined && typeof onStall !== 'function')
    throw new AdasumError('ERR_ARGUMENT', `option "onStall" must be a function, but it is ${inspect(onStall)}`)
  const file = timeline && { path: timeline.value, origin: timeline.origin, code: timeline.code }
  return new Instruments({ rank, size, timeline: file, flightRecord: flightRecord?.value, onStall })
}
