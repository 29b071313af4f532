/**
 * A process's part in a job. It holds what the process has for as long as it takes part: its place, its port, the
 * memory that it shares, its instruments and its kernels' binding. It makes the world of the ranks that it meets.
 */
import type { Binding } from '../binding/binding.ts'
import type { Heartbeat } from '../heartbeat/heartbeat.ts'
import type { Loss } from '../heartbeat/messages.ts'
import type { Instruments } from '../observe/instruments.ts'
import type { Place } from '../rendezvous/environment.ts'
import type { Notice } from '../rendezvous/notices.ts'
import { refusalClause } from '../rendezvous/refusals.ts'
import { type Meeting, rendezvous } from '../rendezvous/rendezvous.ts'
import type { SharedMemory } from '../shared-memory/shared-memory.ts'
import type { Checksums } from '../wire/checked-pipe.ts'
import { failureLimits } from '../timing/failure-limits.ts'
import { checksumsOf } from './checksums.ts'
import { Port } from './port.ts'
import { ROUTE_TO_ONESELF, type Route } from './route.ts'
import { routesOf } from './routes.ts'
import type { Ways } from './ways.ts'
import { World } from './world.ts'

export interface SessionOptions {
  readonly place: Place
  readonly ways: Ways
  readonly binding: Binding
  /** Closed with the session. */
  readonly instruments: Instruments
}

/** The world that a session has joined, and where this rank stands in it. */
export interface JoinedWorld {
  readonly world: World
  /** Number of this rank among those on its machine, and how many they are. */
  readonly localRank: number
  readonly localSize: number
}

export class Session {
  readonly #options: SessionOptions
  readonly #port: Port
  readonly #sharedMemory: SharedMemory | undefined
  readonly #checksums: Checksums

  constructor(options: SessionOptions) {
    const { place, ways } = options
    this.#options = options
    this.#sharedMemory = place.size > 1 ? ways.openSharedMemory?.(place.sharedMemory) : undefined
    this.#checksums = checksumsOf(place, options.binding)
    this.#port = new Port(place, ways, this.#sharedMemory !== undefined, this.#checksums)
  }

  /**
   * Waits until all ranks have come, and makes their world. A failure ends the session; otherwise the world's end does.
   *
   * @throws AdasumError as `rendezvous` does
   */
  async join(signal: AbortSignal | undefined): Promise<JoinedWorld> {
    const { place, instruments } = this.#options
    if (place.size === 1) return { world: this.#alone(), localRank: 0, localSize: 1 }
    try {
      const meeting = await this.#meet(signal)
      return { world: this.#begin(meeting), localRank: meeting.localRank, localSize: meeting.localSize }
    } catch (error) {
      await Promise.all([this.#port.close(error), instruments.close()])
      throw error
    }
  }

  #alone(): World {
    const { place, binding, instruments } = this.#options
    const release = () => instruments.close()
    return new World({
      rank: 0,
      binding,
      routes: [ROUTE_TO_ONESELF],
      tuning: place.tuning,
      reporting: instruments,
      release,
    })
  }

  #meet(signal: AbortSignal | undefined): Promise<Meeting> {
    const { place, ways, instruments } = this.#options
    const onWaiting = ({ message, report, isSpeaker }: Notice): void =>
      instruments.reportWaiting(report, isSpeaker ? message : undefined)
    const announce = (localHost: string) => this.#port.open(localHost)
    return rendezvous(place, { transport: ways.transport, timeoutMs: place.timeoutMs, signal, announce, onWaiting })
  }

  #begin(meeting: Meeting): World {
    const { binding, instruments } = this.#options
    const routes = this.#routes(meeting)
    const sharedMemory = routes.some(({ sharesMemory }) => sharesMemory) ? this.#sharedMemory : undefined
    const world = new World({
      ...{
        rank: this.#options.place.rank,
        binding,
        routes,
        sharedMemory,
        tuning: meeting.tuning,
        failureLimits: failureLimits(meeting.failureTimeoutMs),
        reporting: instruments,
      },
      beginHeartbeat: (onLoss) => this.#beginHeartbeat(meeting, onLoss),
      refusals: () => refusalClause(this.#port.refusals),
      release: async () => {
        sharedMemory?.close()
        await Promise.all([Promise.allSettled([this.#port.close(), meeting.release()]), instruments.close()])
      },
    })
    this.#port.begin(meeting.runId, meeting.tuning.connectionsPerPeer, (worldRank, pipe, groupId) =>
      world.connections.accept(worldRank, groupId, pipe),
    )
    this.#port.unref()
    return world
  }

  #beginHeartbeat({ runId, peers, failureTimeoutMs }: Meeting, onLoss: (loss: Loss) => void): Heartbeat | undefined {
    const { place, ways } = this.#options
    const { rank, size, secret, tls } = place
    this.#port.freeHeartbeatPort()
    const host = place.host ?? peers[rank]!.host
    return ways.beginHeartbeat?.({ rank, size, runId, secret, tls, peers, host, failureTimeoutMs, onLoss })
  }

  #routes({ runId, peers, machines, tuning, failureTimeoutMs }: Meeting): Route[] {
    const { ways, place } = this.#options
    const { rank, size, secret } = place
    const { connectionsPerPeer } = tuning
    const identity = { runId, rank, size, secret }
    const limits = failureLimits(failureTimeoutMs)
    const own = { sharedMemory: this.#sharedMemory, checksums: this.#checksums }
    return routesOf({ ways, identity, peers, machines, connectionsPerPeer, limits, ...own })
  }
}
