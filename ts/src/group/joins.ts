/**
 * Joins: some ranks have no more data, and the others go on until they have none either.
 *
 * A rank that joins tells every peer the number of the first collective that it does not call itself, in a JOIN frame.
 * From then on it shadows the others: it begins each collective, in the order of their numbers, as soon as a frame of it
 * has come. Schedules differ in which ranks they send to first. So a rank that goes on tells those that have joined of
 * each of its calls, in a CALL frame.
 *
 * The end. Once the JOIN frames of all ranks are here, the largest number in them is that of the first collective which
 * no rank calls; this rank shadows those before it, and is done. The last rank is the highest of those that gave the
 * largest number, on every rank. The number itself is used up. A rank that is done goes on at once, with the next
 * number, and a rank that still waits for a JOIN frame must not shadow that call.
 */
import { AdasumError } from '../errors.ts'
import type { CallOptions } from '../types.ts'
import type { Descriptor } from '../wire/frame.ts'
import { type Call, type CallLinks, peersOf, titleOf } from './call.ts'
import type { CallTable } from './call-table.ts'
import { COLLECTIVES, callInWords, collectiveName, hasOwnFunction, isWeighted } from './descriptor.ts'
import { violationError } from './failure.ts'
import { isCollective, isJoin, isMessage, shownNumber } from './numbering.ts'
import type { Peer } from './peer.ts'

/** What a rank that has joined does in a call of the others. */
export type ShadowBody = (call: Call) => Promise<unknown>

/** Gives what to do in a call; undefined if this rank has never made such a call itself, and so does not know how. */
export type ShadowOf = (descriptor: Descriptor) => ShadowBody | undefined

/** Begins the next collective in a rank that has joined. Settles at its end. */
type Begin = (descriptor: Descriptor, options: CallOptions, body: ShadowBody) => Promise<unknown>

/** A join of this rank that is under way. */
interface Pending {
  readonly call: Call
  readonly shadowOf: ShadowOf
  readonly resolve: (lastRank: number) => void
  readonly reject: (error: unknown) => void
  /** The number that this rank gave. */
  readonly sequence: number
  /** The peers to which the JOIN frame has not left for sure. */
  readonly untold: Set<number>
  /** Shadowed calls under way. */
  shadowCount: number
}

export class Joins {
  readonly #owner: Pick<CallLinks, 'rank' | 'size' | 'name' | 'linkTo' | 'links'>
  readonly #calls: CallTable
  readonly #begin: Begin
  /** The numbers that peers gave and no join of this rank has used: two at most, if a peer has joined again already. */
  readonly #joined = new Map<number, number[]>()
  /** The number that the last join has used up. */
  #lastEnd = 0
  #endedCount = 0
  #pending: Pending | undefined
  #isLookDue = false

  constructor(owner: CallLinks, calls: CallTable, begin: Begin) {
    this.#owner = owner
    this.#calls = calls
    this.#begin = begin
  }

  /** Whether this rank has joined, and not all others have. */
  get isPending(): boolean {
    return this.#pending !== undefined
  }

  /** How many joins have ended: the same on all ranks that may make calls. */
  get endedCount(): number {
    return this.#endedCount
  }

  /** Whether any peer has joined. */
  get isAnyJoined(): boolean {
    return this.#joined.size > 0
  }

  hasJoined(peer: number): boolean {
    return this.#joined.has(peer)
  }

  /**
   * Whether this rank's join waits for a peer: for its JOIN frame, for calls that it must have begun before, or until it takes
   * this rank's JOIN frame.
   */
  awaits(peer: number): boolean {
    if (this.#pending?.untold.has(peer)) return true
    const sequence = this.#joined.get(peer)?.[0]
    return sequence === undefined || sequence > this.#calls.lastBegun + 1
  }

  /** Whether a call waits for peers: a join does not while collectives are under way, which do so themselves. */
  isWaiting({ sequence }: Call): boolean {
    return !isJoin(sequence) || this.#calls.oldestSequence() === Infinity
  }

  /** Whether a rank, this one or a peer, takes part in a call that it does not make itself. */
  isShadow(rank: number, sequence: number): boolean {
    const first = rank === this.#owner.rank ? this.#pending?.sequence : this.#joined.get(rank)?.[0]
    return first !== undefined && isCollective(sequence) && sequence >= first
  }

  // ---- this rank

  /** Joins. Resolves with the last rank that has joined. */
  join(call: Call, shadowOf: ShadowOf): Promise<number> {
    return new Promise((resolve, reject) => {
      const sequence = this.#calls.lastBegun + 1
      this.#pending = { call, shadowOf, resolve, reject, sequence, untold: new Set(), shadowCount: 0 }
      for (const peer of peersOf(this.#owner)) this.#tell(this.#owner.linkTo(peer), this.#pending)
      for (const peer of this.#owner.links()) for (const heard of peer.heardSequences()) this.onHeard(heard, peer)
      this.#look()
    })
  }

  #tell(peer: Peer, pending: Pending): void {
    pending.untold.add(peer.peer)
    const onSent = (): void => {
      pending.untold.delete(peer.peer)
      this.#look()
    }
    // A link that has ended has ended the group.
    peer.join(pending.sequence).then(onSent, () => undefined)
  }

  /** A call of this rank has ended, a shadow or one that it made before it joined: now the join waits for something else. */
  onCallEnded(): void {
    this.#pending?.call.noteProgress()
    this.#lookSoon()
  }

  /** Ends this rank's join: the group has failed, or fails for this reason. */
  fail(error: unknown): void {
    this.#pending?.reject(error)
    this.#pending = undefined
  }

  // ---- the peers

  /** This rank has begun a call: peers that have joined hear of it. */
  announce(call: Call): void {
    for (const peer of this.#owner.links()) this.#announceTo(peer, call)
  }

  #announceTo(peer: Peer, call: Call): void {
    const sequence = this.#joined.get(peer.peer)?.at(-1)
    if (sequence === undefined || isJoin(call.sequence) || call.sequence < sequence) return
    if (call.partners().includes(peer.peer)) peer.announce(call.sequence, call.descriptor)
  }

  /** A peer has joined. @param sequence - of the first collective that it does not call itself */
  onFrame(peer: Peer, sequence: number): void {
    const known = this.#joined.get(peer.peer) ?? []
    this.#check(peer, sequence, known)
    this.#joined.set(peer.peer, [...known, sequence])
    for (const call of this.#calls.calls()) this.#announceTo(peer, call)
    this.#pending?.call.noteProgress(peer.peer)
    this.#lookSoon()
  }

  #check(peer: Peer, sequence: number, known: readonly number[]): void {
    // A peer that has joined again has seen this rank's JOIN frame of the time before.
    if (known.length >= (this.#pending ? 2 : 1))
      throw violationError(peer, 'that it has joined again, before this rank has joined')
    const before = known.at(-1) ?? this.#lastEnd
    if (sequence <= before || !isCollective(sequence))
      throw violationError(peer, `that it has joined at #${sequence}, where only numbers above #${before} can be`)
    const heard = peer.heardSequences().find((other) => isCollective(other) && other >= sequence)
    if (heard !== undefined)
      throw violationError(peer, `that it has joined at #${sequence}, after it had begun #${heard}`)
  }

  /** The first frame of a call that this rank has not begun has come from a peer. */
  onHeard(sequence: number, peer: Peer): void {
    const pending = this.#pending
    if (!pending) return
    // If the peer has joined, it may have all JOIN frames, and have gone on.
    if (!isMessage(sequence)) this.#lookSoon()
    else if (this.#calls.isYetToBegin(sequence) && !this.hasJoined(peer.peer)) this.#refuse(sequence, peer)
  }

  // ---- shadows

  /** Looks when the frames that have come together have all been taken. */
  #lookSoon(): void {
    if (!this.#pending || this.#isLookDue) return
    this.#isLookDue = true
    queueMicrotask(() => {
      this.#isLookDue = false
      this.#look()
    })
  }

  /** Shadows the calls that have been heard of, and ends the join if there will be no more. */
  #look(): void {
    for (;;) {
      const pending = this.#pending
      if (!pending) return
      const [next, end] = [this.#calls.lastBegun + 1, this.#endOf(pending)]
      if (end !== undefined && next >= end) return this.#endAt(end, next, pending)
      const peer = this.#calls.hasRoom ? this.#heardFrom(next) : undefined
      if (!peer) return
      this.#shadow(next, peer, pending)
    }
  }

  /** The number of the first collective that no rank calls; undefined if a rank has not joined. */
  #endOf({ sequence }: Pending): number | undefined {
    if (this.#joined.size < this.#owner.size - 1) return undefined
    return Math.max(sequence, ...[...this.#joined.values()].map(([first]) => first!))
  }

  #heardFrom(sequence: number): Peer | undefined {
    return [...this.#owner.links()].find((peer) => peer.descriptorOf(sequence) !== undefined)
  }

  #shadow(sequence: number, peer: Peer, pending: Pending): void {
    const descriptor = peer.descriptorOf(sequence)!
    const body = isShadowable(descriptor) ? pending.shadowOf(descriptor) : undefined
    if (!body) return this.#refuse(sequence, peer)
    const { call } = pending
    const onEnd = (): void => {
      pending.shadowCount--
      this.#look()
    }
    pending.shadowCount++
    // What goes wrong in it ends the group, or concerns the callers alone.
    this.#begin(descriptor, { timeoutMs: call.timeoutMs }, body).then(onEnd, onEnd)
  }

  /** Ends the group, because of a call that this rank cannot take part in. */
  #refuse(sequence: number, peer: Peer): void {
    const { rank } = this.#owner
    const descriptor = peer.descriptorOf(sequence)!
    const operation = collectiveName(descriptor)
    const what = callInWords(descriptor)
    const title = titleOf(operation, sequence, this.#owner) + (what === operation ? '' : ` (${what})`)
    const why = isShadowable(descriptor)
      ? 'has made no such call itself, so that it does not know its segments. Make one on every rank before it joins, with weight 0 if it has no data'
      : 'takes part in nothing but all-reduces with a weight, by operators that have a name, until all ranks have joined. Give every all-reduce a weight, and make other calls before or after'
    this.fail(
      new AdasumError('ERR_UNSUPPORTED', `${title} cannot go on: rank ${rank} has joined, and ${why}.`, {
        ...{ rank, peerRank: peer.peer, peerAddress: peer.address, operation },
        sequence: shownNumber(sequence),
      }),
    )
  }

  #endAt(end: number, next: number, pending: Pending): void {
    if (next > end) {
      const what = `every rank has said that it has joined before collective #${end}, and this one has heard of that call`
      return this.fail(disorderError(`${pending.call.title}: ${what}`))
    }
    if (pending.untold.size > 0 || pending.shadowCount > 0) return
    const last = [...this.#joined].filter(([, [first]]) => first === end).map(([peer]) => peer)
    if (pending.sequence === end) last.push(this.#owner.rank)
    for (const [peer, [, later]] of [...this.#joined]) {
      if (later === undefined) this.#joined.delete(peer)
      else if (later > end) this.#joined.set(peer, [later])
      else return this.fail(disorderError(`rank ${peer} has joined at #${later}, and #${end} was over`))
    }
    this.#lastEnd = end
    this.#endedCount++
    this.#calls.skipCollective()
    this.#pending = undefined
    pending.resolve(Math.max(...last))
  }
}

/** Whether a rank that has joined can take part in a call, if it knows the segments. */
function isShadowable(descriptor: Descriptor): boolean {
  const isKnowable = isWeighted(descriptor) && !hasOwnFunction(descriptor)
  return isKnowable && descriptor.collective === COLLECTIVES['all-reduce']
}

function disorderError(what: string): AdasumError {
  return new AdasumError('ERR_MISMATCH', `${what}. Run the same version of adasum on every rank.`)
}
