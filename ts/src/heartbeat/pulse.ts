/**
 * One rank's heartbeat: it gives signs of life to its neighbours, watches theirs, and passes on which ranks are lost. It
 * runs in a thread of its own, or wherever it is made.
 *
 * It trusts its own clock only as far as its timer fires in time. When that is late, this thread has not been running:
 * the process was stopped, the machine slept, or the clock jumped. It has heard nobody meanwhile, so it accuses nobody
 * until they have been silent for the whole time anew, while it ran. That it is lost itself, it is told by the others.
 */
import { nextTurn } from '#platform'
import { failureLimits, type FailureLimits } from '../timing/failure-limits.ts'
import { sleep } from '../timing/sleep.ts'
import { type HeartbeatAddress, type HeartbeatIdentity, Lines, type LinesOwner } from './lines.ts'
import type { Line } from './line.ts'
import { BEAT, encodeLoss, type Loss } from './messages.ts'
import { neighboursOf } from './neighbours.ts'
import { Watch } from './watch.ts'

export interface PulseOptions extends HeartbeatIdentity {
  /** By rank, this one included. */
  readonly peers: readonly HeartbeatAddress[]
  /** The address of this machine at which it listens. */
  readonly host: string
  readonly failureTimeoutMs: number
  /** How many frames this rank has had of each over other connections, in memory that its main thread writes. */
  readonly heardCounts: Uint32Array
  /** How long it took until this heartbeat could begin, in milliseconds. Those of the peers may take as long. */
  readonly startMs: number
}

/** A thread that needs longer than this to begin does so on a machine that has much to do. */
const USUAL_START_MS = 250
/** How many links are looked at together: where all wait for all, they must not dial each other all at once. */
const CHECKED_AT_ONCE = 4
/** By how much the times differ that threads need on such a machine. */
const START_SPREAD = 4

export class Pulse implements LinesOwner {
  readonly #options: PulseOptions
  readonly #limits: FailureLimits
  readonly #onLoss: (loss: Loss) => void
  readonly #lines: Lines
  readonly #watch: Watch
  readonly #neighbours: readonly number[]
  /** Ranks that are lost, each with who has seen it. */
  readonly #losses = new Map<number, Loss>()
  /** Peers that calls wait for, those first that are to be looked at next. */
  readonly #asked = new Set<number>()
  #isChecking = false
  /** The counts of frames at the last beat. */
  readonly #countsAtBeat: Uint32Array
  #nextBeatAt = 0
  #begunAt = 0
  /** Neighbours of which nothing has been heard yet. */
  readonly #unheard: Set<number>
  /** When the threads of all ranks should have begun. */
  #allBegunAt = 0
  #timer: NodeJS.Timeout | undefined
  #hasEnded = false

  /** @param onLoss - called once for every rank that is lost; that may be this rank */
  constructor(options: PulseOptions, onLoss: (loss: Loss) => void) {
    const { rank, peers, failureTimeoutMs, heardCounts } = options
    this.#options = options
    this.#onLoss = onLoss
    this.#limits = failureLimits(failureTimeoutMs)
    this.#lines = new Lines(options, peers, this.#limits, this)
    this.#watch = new Watch(this.#limits)
    this.#countsAtBeat = Uint32Array.from(heardCounts)
    const ranks = [...peers.keys()].filter((peer) => peers[peer]!.heartbeatPort !== undefined)
    this.#neighbours = neighboursOf(rank, ranks)
    this.#unheard = new Set(this.#neighbours)
  }

  begin(): void {
    const { rank, host, peers } = this.#options
    void this.#lines.listen(host, peers[rank]!.heartbeatPort!)
    const now = performance.now()
    this.#begunAt = now
    this.#nextBeatAt = now
    this.#noteStart(this.#options.startMs)
    for (const peer of this.#neighbours) {
      this.#expect(peer, now)
      this.#lines.reach(peer, rank < peer ? 0 : this.#limits.gapMs)
    }
    this.#sleep()
  }

  /** A call waits for a peer: whether the link to it still works is looked at now and then. */
  ask(peer: number): void {
    this.#asked.add(peer)
    if (this.#isChecking) return
    this.#isChecking = true
    void this.#checkLinks().finally(() => (this.#isChecking = false))
  }

  /** No call waits for the peer any more. */
  unask(peer: number): void {
    this.#asked.delete(peer)
  }

  end(): void {
    this.#hasEnded = true
    clearTimeout(this.#timer)
    this.#asked.clear()
    this.#lines.end()
  }

  /** A thread, this one or a neighbour's, has begun so late. The others may need several times as long. */
  #noteStart(lateMs: number): void {
    const allBegunAt = this.#begunAt + START_SPREAD * Math.max(0, lateMs - USUAL_START_MS)
    if (allBegunAt <= this.#allBegunAt) return
    this.#allBegunAt = allBegunAt
    for (const peer of this.#unheard) this.#expect(peer, this.#begunAt)
  }

  /**
   * Waits for the first sign of a peer, whose silence began at `since`; but its thread may still be starting. What is left
   * of the time at the end, its main thread has to answer.
   */
  #expect(peer: number, since: number): void {
    const { failureTimeoutMs, answerMs } = this.#limits
    this.#watch.expect(peer, Math.max(since, this.#allBegunAt), failureTimeoutMs - answerMs)
    this.#sleep()
  }

  // ---- signs of life

  onOpen(line: Line): void {
    if (this.#unheard.delete(line.peer)) this.#noteStart(performance.now() - this.#begunAt)
    this.#watch.hear(line.peer, performance.now())
    line.send(BEAT)
    // So that a rank which was stopped hears of what has happened, whoever tells it.
    for (const loss of this.#losses.values()) line.send(encodeLoss(loss))
    if (this.#losses.has(line.peer)) this.#watch.forget(line.peer)
  }

  onShut(peer: number): void {
    this.#watch.forget(peer)
  }

  onMessage(peer: number, message: 'beat' | Loss): void {
    if (!this.#losses.has(peer)) this.#watch.hear(peer, performance.now())
    if (message !== 'beat') this.#lose(message)
  }

  // ---- time

  #sleep(): void {
    if (this.#hasEnded) return
    clearTimeout(this.#timer)
    const now = performance.now()
    const at = Math.max(now, Math.min(this.#nextBeatAt, this.#watch.deadline))
    this.#timer = setTimeout(() => void this.#wake(at), Math.max(1, at - now)).unref()
  }

  async #wake(plannedAt: number): Promise<void> {
    const now = performance.now()
    if (now - plannedAt > this.#limits.gapMs) this.#watch.onGap(now)
    if (now >= this.#nextBeatAt) this.#beat(now)
    if (this.#watch.silent(now).length > 0) await this.#accuse()
    this.#sleep()
  }

  #beat(now: number): void {
    this.#nextBeatAt = now + this.#limits.beatMs
    this.#lines.send(BEAT)
    const { heardCounts } = this.#options
    for (const [peer, count] of this.#countsAtBeat.entries()) {
      const latest = Atomics.load(heardCounts, peer)
      if (latest === count) continue
      this.#countsAtBeat[peer] = latest
      this.#watch.noteData(peer, now)
    }
  }

  async #accuse(): Promise<void> {
    // What has come already is read first: timers come before it.
    for (let turn = 0; turn < 2; turn++) await nextTurn()
    for (const peer of this.#watch.silent(performance.now())) {
      this.#watch.forget(peer)
      void this.#judge(peer)
    }
  }

  /**
   * A silent peer counts as lost. But of one that was never heard, the main thread is asked first: it may have closed in
   * good order before there was a line to it, or its own thread may not have begun.
   */
  async #judge(peer: number): Promise<void> {
    if (!this.#lines.isOpen(peer)) {
      const process = await this.#lines.askProcess(peer)
      if (this.#lines.isOpen(peer) || process === 'gone') return
      if (process === 'alive') return this.#expect(peer, performance.now())
    }
    this.#lose({ rank: peer, seenBy: this.#options.rank })
  }

  /**
   * Dials peers that calls wait for. Whether their processes live, their neighbours find out; but a link that is broken
   * between two ranks only these two can see. The system answers for a process that computes, or has much to do.
   */
  async #checkLinks(): Promise<void> {
    const { announceMs, failureTimeoutMs, gapMs } = this.#limits
    const { rank } = this.#options
    while (this.#asked.size > 0) {
      const peers = [...this.#asked].slice(0, CHECKED_AT_ONCE)
      const isAnswered = await Promise.all(
        peers.map((peer) => this.#lines.isAnswered(peer, failureTimeoutMs - announceMs)),
      )
      for (const [i, peer] of peers.entries()) {
        // Next time others come first.
        if (!this.#asked.delete(peer)) continue
        this.#asked.add(peer)
        if (!isAnswered[i]) this.#lose({ rank: peer, seenBy: rank })
      }
      await sleep(gapMs, undefined, false)
    }
  }

  #lose(loss: Loss): void {
    if (this.#losses.has(loss.rank) || this.#hasEnded) return
    this.#losses.set(loss.rank, loss)
    this.#watch.forget(loss.rank)
    this.#unheard.delete(loss.rank)
    this.#lines.send(encodeLoss(loss))
    this.#onLoss(loss)
  }
}
