/**
 * The connections of one process for all its groups. They open on first use: whoever needs a peer dials it and names the
 * group, and a rank that is dialled dials back, so that each pair of a group has two connections, one each way (the
 * reader of a direction dials; see transport/tcp.ts).
 *
 * A peer may be ahead and dial for a group that this rank has not made yet. Its connection waits until the group is there.
 * Whoever comes to a group that has ended, or will not come, is told so.
 */
import type { Group } from '../group/group.ts'
import { dismiss, goodbyeFrame } from '../group/last-words.ts'
import type { Pipe } from '../transport/transport.ts'
import { type Departures, NEWS_GROUP_ID } from './departures.ts'
import type { Dial } from './dial.ts'

/** Connections for groups to come that one peer may hold open. */
const EARLY_LIMIT = 64

interface Early {
  readonly worldRank: number
  readonly pipe: Pipe
}

/** Groups that have been closed, of which is known how they have ended: a loop may split and close without end. */
const ENDED_LIMIT = 4096

interface Member {
  readonly group: Group
  /** The world's ranks by the group's. */
  readonly worldRanks: readonly number[]
}

/** What is left of a group that has been closed. */
interface Ended {
  readonly worldRanks: readonly number[]
  readonly lastWords: Uint8Array
}

export class Connections {
  readonly #dial: Dial
  readonly #departures: Departures
  readonly #members = new Map<string, Member>()
  /** The latest last. */
  readonly #ended = new Map<string, Ended>()
  readonly #early = new Map<string, Early[]>()
  /** Last words that are on their way. */
  readonly #farewells = new Set<Promise<void>>()
  #isClosed = false

  constructor(dial: Dial, departures: Departures) {
    this.#dial = dial
    this.#departures = departures
  }

  /** What a group needs to reach its ranks. */
  diallerOf(groupId: string, worldRanks: readonly number[]) {
    return (peer: number, signal: AbortSignal): Promise<Pipe> => this.#dial(worldRanks[peer]!, groupId, signal)
  }

  /** From now on the group gets the connections that peers dial for it, those that have come already included. */
  add(groupId: string, group: Group, worldRanks: readonly number[]): void {
    this.#members.set(groupId, { group, worldRanks })
    const early = this.#early.get(groupId) ?? []
    this.#early.delete(groupId)
    for (const { worldRank, pipe } of early) this.accepted(worldRank, groupId, pipe)
  }

  /** The group is over and forgotten but for its last words, which those who still come for it are told. */
  ended(groupId: string, worldRanks: readonly number[], lastWords: Uint8Array): void {
    this.#members.delete(groupId)
    this.#ended.set(groupId, { worldRanks, lastWords })
    const [oldest] = this.#ended.keys()
    if (this.#ended.size > ENDED_LIMIT) this.#ended.delete(oldest!)
  }

  accepted(worldRank: number, groupId: string, pipe: Pipe): void {
    if (groupId === NEWS_GROUP_ID) return this.#keep(this.#departures.accepted(pipe))
    const member = this.#members.get(groupId)
    if (member) {
      const peer = member.worldRanks.indexOf(worldRank)
      return peer < 0 ? pipe.destroy() : this.#keep(member.group.accept(peer, pipe))
    }
    const ended = this.#ended.get(groupId)
    if (ended) return ended.worldRanks.includes(worldRank) ? this.#keep(dismiss(pipe, ended.lastWords)) : pipe.destroy()
    if (this.#isClosed) return this.#sendAway(pipe)
    if (this.#earlyCountOf(worldRank) >= EARLY_LIMIT) return pipe.destroy()
    const early = this.#early.get(groupId)
    if (early) early.push({ worldRank, pipe })
    else this.#early.set(groupId, [{ worldRank, pipe }])
    // A script that forgets to close its communicator ends all the same.
    pipe.unref()
  }

  /** From now on no group will come: says so to those who wait for one, and to those who still come. */
  close(): void {
    this.#isClosed = true
    for (const { pipe } of [...this.#early.values()].flat()) this.#sendAway(pipe)
    this.#early.clear()
  }

  /** Settles when nobody is being told anything any more. */
  async quiet(): Promise<void> {
    while (this.#farewells.size > 0) await Promise.all(this.#farewells)
  }

  /** This rank will take part in nothing that the group does. */
  #sendAway(pipe: Pipe): void {
    this.#keep(dismiss(pipe, goodbyeFrame(0)))
  }

  #keep(farewell: Promise<void> | undefined): void {
    if (!farewell) return
    const kept = farewell.finally(() => this.#farewells.delete(kept))
    this.#farewells.add(kept)
  }

  #earlyCountOf(worldRank: number): number {
    return [...this.#early.values()].flat().filter((early) => early.worldRank === worldRank).length
  }
}
