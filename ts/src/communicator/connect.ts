/**
 * Connecting: ranks meet at a store and learn each other's addresses. Connections open when a collective first needs them
 * (see group/connections.ts).
 */
import { loadBinding } from '../binding/native.ts'
import { checkSignal } from '../group/call-options.ts'
import { type Place, resolvePlace } from '../rendezvous/environment.ts'
import { refusalClause } from '../rendezvous/refusals.ts'
import { type Meeting, rendezvous } from '../rendezvous/rendezvous.ts'
import { tcp } from '../transport/tcp.ts'
import { formatAddress } from '../transport/address.ts'
import type { Transport } from '../transport/transport.ts'
import type { Tuning } from '../tuning.ts'
import type { ConnectOptions } from '../types.ts'
import { type OnPeer, dialAuthenticated } from '../wire/authenticated.ts'
import { Communicator } from './communicator.ts'
import { World } from './world.ts'

/**
 * Joins the world: waits until all ranks have come. Connections to them open when a collective first needs them.
 *
 * Where this process stands comes from the options, then from ADASUM_RANK, ADASUM_SIZE, ADASUM_STORE, ADASUM_SECRET and
 * ADASUM_HOST, then from RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If none is set, the world has one rank. The tuning
 * comes from rank 0: from its option, then from its ADASUM_TUNING.
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
  if (place.size === 1) {
    const alone = aloneWorld(place.tuning)
    return new Communicator(alone, alone.root(0), { localRank: 0, localSize: 1 })
  }
  const { world, meeting } = await meet(transport, place, options.signal)
  meeting.listener.unref()
  return new Communicator(world, world.root(place.rank), meeting)
}

function aloneWorld(tuning: Tuning): World {
  const dial = (): Promise<never> => Promise.reject(new Error('A world of one rank has no peers.'))
  return new World({ peers: [{ machine: 0, address: '' }], dial, tuning, release: () => Promise.resolve() })
}

async function meet(
  transport: Transport,
  place: Place,
  signal: AbortSignal | undefined,
): Promise<{ world: World; meeting: Meeting }> {
  const early: Parameters<OnPeer>[] = []
  let accept: OnPeer = (...peer) => void early.push(peer)
  const { rank, size, secret, timeoutMs } = place
  const onPeer: OnPeer = (...peer) => accept(...peer)
  const meeting = await rendezvous(place, { transport, timeoutMs, signal, onPeer })
  const { runId, peers, machines, tuning, listener } = meeting
  const world = new World({
    peers: peers.map(({ host, port }, peer) => ({ machine: machines[peer]!, address: formatAddress(host, port) })),
    dial: (peerRank, groupId, signal) => {
      const { host, port } = peers[peerRank]!
      const identity = { runId, rank, size, peerRank, purpose: 'peer', groupId, secret } as const
      return dialAuthenticated(transport, host, port, identity, signal)
    },
    tuning,
    refusals: () => refusalClause(meeting.refusals()),
    release: async () => void (await Promise.allSettled([listener.close(), meeting.release()])),
  })
  accept = (worldRank, pipe, groupId) => world.connections.accepted(worldRank, groupId, pipe)
  for (const peer of early) accept(...peer)
  return { world, meeting }
}
