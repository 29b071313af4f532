/**
 * Connecting: ranks meet at a store and learn each other's addresses. Connections open when a collective first needs them
 * (see group/connections.ts).
 */
import { loadBinding, loadSharedMemory } from '#binding'
import type { Binding } from '../binding/binding.ts'
import { AdasumError, inspect, reading } from '../errors.ts'
import { checkSignal } from '../group/call-options.ts'
import { Instruments } from '../observe/instruments.ts'
import { type Place, resolvePlace } from '../rendezvous/environment.ts'
import type { Notice } from '../rendezvous/notices.ts'
import { refusalClause } from '../rendezvous/refusals.ts'
import { type Meeting, type RendezvousOptions, rendezvous } from '../rendezvous/rendezvous.ts'
import { tcp } from '../transport/tcp.ts'
import { formatAddress } from '../transport/address.ts'
import { HAS_SHARED_MEMORY, SharedMemory } from '../transport/shared-memory.ts'
import type { Transport } from '../transport/transport.ts'
import { HAS_UNIX_TRANSPORT } from '../transport/unix.ts'
import type { Tuning } from '../tuning.ts'
import { copyOptions } from '../tensor/check.ts'
import { CONNECT_OPTIONS, type ConnectOptions } from '../types.ts'
import type { OnPeer } from '../wire/acceptor.ts'
import { StripeGathering } from '../wire/stripes.ts'
import { Communicator } from './communicator.ts'
import { diallerOf } from './dialling.ts'
import { World } from './world.ts'

/**
 * Joins the world: waits until all ranks have come. Connections to them open when a collective first needs them.
 *
 * Where this process stands comes from the options, then from ADASUM_RANK, ADASUM_SIZE, ADASUM_STORE, ADASUM_SECRET and
 * ADASUM_HOST, then from RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. If none is set, the world has one rank. The tuning
 * comes from rank 0: from its option, then from its ADASUM_TUNING. Ranks of one machine read each other's large messages in
 * shared memory, unless `sharedMemory` or ADASUM_SHARED_MEMORY says otherwise. Files for a timeline and for flight records
 * come from the options, then from ADASUM_TIMELINE and ADASUM_FLIGHT_RECORD.
 *
 * @throws AdasumError ERR_ENVIRONMENT (half-set environment), ERR_ARGUMENT, ERR_STORE (unreachable, port in use),
 *   ERR_AUTH (wrong secret), ERR_RANK_TAKEN, ERR_WORLD_SIZE, ERR_TIMEOUT (ranks that did not come), ERR_PEER_LOST,
 *   ERR_ABORTED, ERR_BINDING
 */
export function connect(options: ConnectOptions = {}): Promise<Communicator> {
  return connectOver(tcp, options, process.env)
}

/** As `connect`, over any transport; ranks that share memory may be kept from meeting on Unix sockets, as where there are none. */
export async function connectOver(
  transport: Transport,
  given: ConnectOptions,
  env: NodeJS.ProcessEnv,
  hasUnixTransport: boolean = HAS_UNIX_TRANSPORT,
): Promise<Communicator> {
  const binding = loadBinding()
  const options = copyOptions(given, CONNECT_OPTIONS)
  const place = reading('options', () => resolvePlace(options, env))
  checkSignal(options.signal)
  const instruments = instrumentsFor(place, options.onStall)
  if (place.size === 1) {
    const alone = aloneWorld(binding, place.tuning, instruments)
    return new Communicator(alone, alone.root(), { localRank: 0, localSize: 1 })
  }
  try {
    const { world, meeting } = await meet({ binding, transport, hasUnixTransport }, place, instruments, options.signal)
    meeting.listener.unref()
    return new Communicator(world, world.root(), meeting)
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

function aloneWorld(binding: Binding, tuning: Tuning, instruments: Instruments): World {
  const dial = (): Promise<never> => Promise.reject(new Error('A world of one rank has no peers.'))
  const peers = [{ machine: 0, address: '' }]
  return new World({ rank: 0, binding, peers, dial, tuning, instruments, release: () => Promise.resolve() })
}

async function meet(
  { binding, transport, hasUnixTransport }: { binding: Binding; transport: Transport; hasUnixTransport: boolean },
  place: Place,
  instruments: Instruments,
  signal: AbortSignal | undefined,
): Promise<{ world: World; meeting: Meeting }> {
  const early: Parameters<RendezvousOptions['onPeer']>[] = []
  let accept: RendezvousOptions['onPeer'] = (...peer) => void early.push(peer)
  const { rank, size, secret, timeoutMs } = place
  const onPeer: typeof accept = (...peer) => accept(...peer)
  const ownMemory = transport.name === 'tcp' ? openSharedMemory(place.sharedMemory) : undefined
  const ways = { transport, hasUnixTransport, sharesMemory: !!ownMemory }
  const onWaiting = ({ message, report, isSpeaker }: Notice): void =>
    instruments.waiting(report, isSpeaker ? message : undefined)
  const meeting = await rendezvous(place, { ...ways, timeoutMs, signal, onPeer, onWaiting })
  const { runId, peers, machines, tuning, listener } = meeting
  const near = ownMemory ? sharers(meeting, rank) : new Set<number>()
  const sharedMemory = near.size > 0 ? ownMemory : undefined
  const { connectionsPerPeer } = tuning
  const identity = { runId, rank, size, secret }
  const world = new World({
    rank,
    binding,
    peers: peers.map(({ host, port }, peer) => {
      return { machine: machines[peer]!, address: formatAddress(host, port), sharesMemory: near.has(peer) }
    }),
    dial: diallerOf({ transport, identity, peers, near, sharedMemory, connectionsPerPeer }),
    sharedMemory,
    tuning,
    instruments,
    refusals: () => refusalClause(meeting.refusals()),
    release: async () => {
      await Promise.allSettled([listener.close().then(() => gathering.close()), meeting.release()])
    },
  })
  const accepted: OnPeer = (worldRank, pipe, groupId) => world.connections.accepted(worldRank, groupId, pipe)
  const gathering = new StripeGathering(connectionsPerPeer, accepted)
  accept = (worldRank, pipe, groupId, over) =>
    over === 'unix' ? accepted(worldRank, pipe, groupId) : gathering.accept(worldRank, pipe, groupId)
  for (const peer of early) accept(...peer)
  return { world, meeting }
}

/** Memory to share with ranks of this machine, if it is wanted and this process can make and open such memory. */
function openSharedMemory(limitByteLength: number): SharedMemory | undefined {
  if (limitByteLength === 0 || !HAS_SHARED_MEMORY) return undefined
  try {
    const memory = new SharedMemory(loadSharedMemory(), limitByteLength)
    memory.probe()
    return memory
  } catch {
    // `adasum doctor` says why.
    return undefined
  }
}

/** The peers on this rank's machine that share memory, if it does itself. Both ends come to the same, from what the store said. */
function sharers({ peers, machines }: Meeting, rank: number): Set<number> {
  const isNear = (peer: number): boolean =>
    peer !== rank && machines[peer] === machines[rank] && peers[peer]!.sharesMemory === true
  return new Set(peers[rank]!.sharesMemory ? [...peers.keys()].filter(isNear) : [])
}
