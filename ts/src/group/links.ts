/**
 * The links of a group, and the connections beneath them. They open on first use: this rank dials the connections that
 * it reads, its peers those on which it writes.
 */
import type { AdasumError } from '../errors.ts'
import { Limit } from '../timing/limit.ts'
import { PendingPipe } from '../transport/pending.ts'
import type { Pipe } from '../transport/transport.ts'
import { type Call, peersOf } from './call.ts'
import type { Dialler } from './group-options.ts'
import { abortFrame, dismiss } from './last-words.ts'
import type { LinkOwner } from './link-owner.ts'
import { Link } from './link.ts'

/** How long a failing rank tries to reach those that it has had nothing to do with. */
const TELL_MS = 5000

export class Links {
  readonly #owner: LinkOwner
  readonly #dialler: Dialler | undefined
  readonly #links = new Map<number, Link>()
  /** The connections of each link, by peer. */
  readonly #pipes = new Map<number, { readonly reader: PendingPipe; readonly writer: PendingPipe }>()
  readonly #dialling = new Limit(undefined)
  /** Why the group has failed, once it has. */
  #cause: AdasumError | undefined

  /** @param dialler - a group of one needs none */
  constructor(owner: LinkOwner, dialler: Dialler | undefined) {
    this.#owner = owner
    this.#dialler = dialler
  }

  /** The link to a peer; if there is none yet it is made, and the peer dialled. */
  to(peer: number): Link {
    return this.#links.get(peer) ?? this.#connect(peer)
  }

  /** The links to all peers that this rank has been in touch with. */
  all(): Iterable<Link> {
    return this.#links.values()
  }

  #connect(peer: number): Link {
    if (!this.#dialler) throw new Error(`Rank ${this.#owner.rank} has no connection to rank ${peer}.`)
    const address = this.#dialler.addressOf(peer)
    const [reader, writer] = [new PendingPipe(address), new PendingPipe(address)]
    const link = new Link(peer, reader, writer, this.#owner)
    this.#links.set(peer, link)
    this.#pipes.set(peer, { reader, writer })
    if (this.#cause) {
      // A call that is still running gets the cause from this link.
      link.abort(this.#cause)
      return link
    }
    this.#dialler.dial(peer, this.#dialling.signal).then(
      (pipe) => reader.attach(pipe) || pipe.destroy(),
      (error: unknown) => reader.fail(error as Error),
    )
    return link
  }

  /** Takes the connection that a peer has dialled; dials back if this rank has not dialled before. */
  accept(peer: number, pipe: Pipe): void {
    const link = this.to(peer)
    // A second connection can only be a mistake or a replay, so the first one is kept.
    if (this.attach(peer, pipe)) link.open()
    else pipe.destroy()
  }

  /** Gives a link the connection that it writes to. Returns false if no link waits for one from that peer. */
  attach(peer: number, pipe: Pipe): boolean {
    return this.#pipes.get(peer)?.writer.attach(pipe) ?? false
  }

  /** How many connections are open, both directions counted. */
  get openPipeCount(): number {
    const pipes = [...this.#pipes.values()].flatMap(({ reader, writer }) => [reader, writer])
    return pipes.filter(({ isOpen }) => isOpen).length
  }

  /**
   * Tells peers that a call stands still, and what it is: those that it waits for. The oldest call is announced to all,
   * so that this rank is not taken for silent.
   */
  announce(call: Call, isOldest: boolean): void {
    for (const link of isOldest ? this.all() : call.awaitedPeers())
      if (link.lastSequence === undefined) link.announce(call.sequence, call.descriptor)
  }

  // ---- the end

  /** Says goodbye to all peers. Resolves with those that know that this rank has left. */
  async goodbye(lastSequence: number): Promise<ReadonlySet<number>> {
    const informedRanks = new Set<number>()
    const sayGoodbye = async (link: Link): Promise<void> => {
      if ((await link.goodbye(lastSequence)) || link.lastSequence !== undefined) informedRanks.add(link.peer)
    }
    await Promise.all([...this.all()].map(sayGoodbye))
    return informedRanks
  }

  /** Aborts all links with the cause of the group's failure; links that are made later get it, too. */
  abort(cause: AdasumError): void {
    this.#cause = cause
    for (const link of this.all()) link.abort(cause)
    this.#dialling.abort()
  }

  /**
   * Tells the peers that have no link to this rank why the group has failed. They would not hear of it otherwise,
   * although a call of theirs may wait for a rank that waits for this one.
   */
  tellUnlinkedPeers(cause: AdasumError): void {
    const limit = new Limit(TELL_MS)
    const lastWords = abortFrame(cause)
    // A rank that is lost would only keep this process waiting.
    const lost = cause.code === 'ERR_PEER_LOST' ? cause.peerRank : undefined
    const attempts = peersOf(this.#owner)
      .filter((peer) => !this.#links.has(peer) && peer !== lost)
      .map(async (peer) => dismiss(await this.#dialler!.dial(peer, limit.signal), lastWords))
    // Peers that cannot be reached have ended, or find out by themselves.
    void Promise.allSettled(attempts).then(() => limit.release())
  }

  /** Settles when no connection uses memory of a call any more. */
  async whenClosed(): Promise<void> {
    await Promise.all([...this.all()].map((link) => link.closed))
  }

  /** Forgets all links, and stops dialling. */
  clear(): void {
    this.#dialling.abort()
    this.#links.clear()
    this.#pipes.clear()
  }
}
