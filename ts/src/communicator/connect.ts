/**
 * Connecting: ranks meet at a store and learn each other's addresses. Connections open when a collective first needs them
 * (see group/connections.ts).
 */
import { loadBinding } from '../binding/native.ts'
import { AdasumError, inspect } from '../errors.ts'
import { checkSignal } from '../group/call-options.ts'
import { Instruments } from '../observe/instruments.ts'
import { type Place, resolvePlace } from '../rendezvous/environment.ts'
import { refusalClause } from '../rendezvous/refusals.ts'
import { type Meeting, rendezvous } from '../rendezvous/rendezvous.ts'
import { tcp } from '../transport/tcp.ts'
import { formatAddress } from '../transport/address.ts'
import type { Transport } from '../transport/transport.ts'
import type { Tuning } from '../tuning.ts'
import type { ConnectOptions } from '../types.ts'
import { type OnPeer, dialAuthenticated } from '../wire/authenticated.ts'
import { StripeGathering, dialStriped } from '../wire/stripes.ts'
import { Communicator } from './communicator.ts'
import { World } from './world.ts'

/**
 * Joins the world: waits until all ranks have come. Connections to them open when a collective first needs them.
 *
 * Where this process stands comes from the options, then from ADASUM_RANK, ADASUM_SIZE, ADASUM_STORE, ADASUM_SECRET and
 * ADASUM_HOST, then from RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If none is set, the world has one rank. The tuning
 * comes from rank 0: from its option, then from its ADASUM_TUNING. Files for a timeline and for flight records come from the
 * options, then from ADASUM_TIMELINE and ADASUM_FLIGHT_RECORD.
 *
 * @throws AdasumError ERR_ENVIRONMENT (half-set environment), ERR_ARGUMENT, ERR_STORE (unreachable, port in use),
 *   ERR_AUTH (wrong secret), ERR_RANK_TAKEN, ERR_WORLD_SIZE, ERR_TIMEOUT (ranks that did not come), ERR_PEER_LOST,
 *   ERR_ABORTED, ERR_BINDING
 */
export function connect(options: ConnectOptions = {}): Promise<Communicator> {
  return connectOver(tcp, options, process.env)
}

/** As `connect`, over any transport. */
export async function connectOver(
  transport: Transport,
  options: ConnectOptions,
  env: NodeJS.ProcessEnv,
): Promise<Communicator> {
  loadBinding()
  const place = resolvePlace(options, env)
  checkSignal(options.signal)
  const instruments = instrumentsFor(place, options.onStall)
  if (place.size === 1) {
    const alone = aloneWorld(place.tuning, instruments)
    return new Communicator(alone, alone.root(0), { localRank: 0, localSize: 1 })
  }
  try {
    const { world, meeting } = await meet(transport, place, instruments, options.signal)
    meeting.listener.unref()
    return new Communicator(world, world.root(place.rank), meeting)
  } catch (error) {
    await instruments.close()
    throw error
  }
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

function aloneWorld(tuning: Tuning, instruments: Instruments): World {
  const dial = (): Promise<never> => Promise.reject(new Error('A world of one rank has no peers.'))
  const peers = [{ machine: 0, address: '' }]
  return new World({ peers, dial, tuning, instruments, release: () => Promise.resolve() })
}

async function meet(
  transport: Transport,
  place: Place,
  instruments: Instruments,
  signal: AbortSignal | undefined,
): Promise<{ world: World; meeting: Meeting }> {
  const early: Parameters<OnPeer>[] = []
  let accept: OnPeer = (...peer) => void early.push(peer)
  const { rank, size, secret, timeoutMs } = place
  const onPeer: OnPeer = (...peer) => accept(...peer)
  const meeting = await rendezvous(place, { transport, timeoutMs, signal, onPeer })
  const { runId, peers, machines, tuning, listener } = meeting
  const { connectionsPerPeer } = tuning
  const world = new World({
    peers: peers.map(({ host, port }, peer) => ({ machine: machines[peer]!, address: formatAddress(host, port) })),
    dial: (peerRank, groupId, signal) => {
      const { host, port } = peers[peerRank]!
      const identity = { runId, rank, size, peerRank, purpose: 'peer', groupId, secret } as const
      return dialStriped(connectionsPerPeer, () => dialAuthenticated(transport, host, port, identity, signal))
    },
    tuning,
    instruments,
    refusals: () => refusalClause(meeting.refusals()),
    release: async () => {
      gathering.close()
      await Promise.allSettled([listener.close(), meeting.release()])
    },
  })
  const gathering = new StripeGathering(connectionsPerPeer, (worldRank, pipe, groupId) =>
    world.connections.accepted(worldRank, groupId, pipe),
  )
  accept = (...peer) => gathering.accept(...peer)
  for (const peer of early) accept(...peer)
  return { world, meeting }
}
