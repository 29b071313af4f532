/** What the launcher does while ranks run: passes signals on, and ends all ranks when one fails or is waited for in vain. */
import { constants } from 'node:os'
import { FAILURE } from '../command-error.ts'
import { type RankProcess, describeExit, shellExitCode } from './rank-process.ts'

/** From the request to end until the ranks that have not are killed. */
const GRACE_MS = 5_000
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class Supervisor {
  readonly #ranks: readonly RankProcess[]
  readonly #handlers = new Map<NodeJS.Signals, () => void>()
  /** The exit code of the first rank that failed, and whether the reader has been told. */
  #failure: { exitCode: number; isReported: Promise<void> } | undefined
  /** Those that ended with code 0. */
  readonly #ended: RankProcess[] = []
  /** Those that wait at the store, also ranks of other machines. */
  #waiting: readonly number[] = []
  /** Set once the ranks have been told to end, for a signal or because nobody reads the output any more. */
  #stopSignal: NodeJS.Signals | undefined
  #interrupts = 0
  #killTimer: NodeJS.Timeout | undefined

  constructor(ranks: readonly RankProcess[]) {
    this.#ranks = ranks
  }

  /** @returns the exit code of the launcher, when all ranks have ended */
  async run(): Promise<number> {
    this.#listen()
    try {
      await Promise.all(this.#ranks.map((rank) => this.#follow(rank)))
    } finally {
      clearTimeout(this.#killTimer)
      for (const [signal, handler] of this.#handlers) process.removeListener(signal, handler)
    }
    await this.#failure?.isReported
    if (this.#stopSignal === 'SIGPIPE') return 128 + constants.signals.SIGPIPE
    return this.#failure?.exitCode ?? 0
  }

  /** The store says who waits for others there, whenever that has changed. */
  waiting(ranks: readonly number[]): void {
    this.#waiting = ranks
    this.#requirePresence()
  }

  async #follow(rank: RankProcess): Promise<void> {
    const exit = await rank.exited
    const exitCode = shellExitCode(exit)
    if (exitCode === 0) this.#ended.push(rank)
    if (exitCode === 0) this.#requirePresence()
    else this.#fail(rank, exitCode, describeExit(exit))
    await rank.drained()
  }

  /**
   * A rank that has ended will not come: whoever waits at the store waits in vain. Only the store knows who does: a rank
   * that has its answer may be long in noticing, while another is done with its work and ends.
   */
  #requirePresence(): void {
    const absent = this.#ended.find(({ rank }) => !this.#waiting.includes(rank))
    if (absent === undefined || this.#waiting.length === 0) return
    const [subject, verb] = this.#waiting.length === 1 ? ['rank', 'waits'] : ['ranks', 'wait']
    const waiting = `${subject} ${this.#waiting.join(', ')} still ${verb} in connect()`
    this.#fail(
      absent,
      FAILURE,
      `ended with code 0 while ${waiting}, which every rank has to call as often as the others`,
    )
  }

  #fail(rank: RankProcess, exitCode: number, words: string): void {
    if (this.#failure !== undefined) return
    const isAsked = this.#stopSignal !== undefined
    this.#failure = { exitCode, isReported: isAsked ? Promise.resolve() : this.#report(rank, words) }
    if (!isAsked) this.#endOthers()
  }

  #endOthers(): void {
    this.#killAll('SIGTERM')
    this.#killAfterGrace()
  }

  #killAfterGrace(): void {
    this.#killTimer ??= setTimeout(() => this.#killAll('SIGKILL'), GRACE_MS)
  }

  /** Comes after the rank's own last words, so that the reader has both in order. */
  async #report(rank: RankProcess, words: string): Promise<void> {
    await rank.drained()
    if (this.#stopSignal !== undefined) return
    const others = this.#ranks.length > 1 ? '; ending the other ranks' : ''
    process.stderr.write(`${rank.hiddenErrors()}adasum run: rank ${rank.rank} ${words}${others}\n`)
  }

  #killAll(signal: NodeJS.Signals): void {
    for (const rank of this.#ranks) rank.kill(signal)
  }

  #listen(): void {
    for (const signal of FORWARDED_SIGNALS) this.#on(signal, () => this.#forward(signal))
    // The ranks are in groups of their own, so the terminal's stop and continue do not reach them either.
    this.#on('SIGTSTP', () => {
      this.#killAll('SIGSTOP')
      process.kill(process.pid, 'SIGSTOP')
    })
    this.#on('SIGCONT', () => this.#killAll('SIGCONT'))
    for (const stream of [process.stdout, process.stderr]) {
      stream.on('error', () => {
        // As for any program in a pipeline whose reader has gone: `adasum run ... | head`.
        this.#stopSignal ??= 'SIGPIPE'
        this.#endOthers()
      })
    }
  }

  #on(signal: NodeJS.Signals, handler: () => void): void {
    this.#handlers.set(signal, handler)
    process.on(signal, handler)
  }

  #forward(signal: NodeJS.Signals): void {
    if (signal === 'SIGINT') this.#interrupts += 1
    if (this.#interrupts > 1) return this.#killAll('SIGKILL')
    if (this.#stopSignal === undefined && this.#failure === undefined) {
      const otherwise = signal === 'SIGINT' ? 'Ctrl-C again kills them' : `killed after ${GRACE_MS / 1000} s`
      process.stderr.write(`adasum run: ${signal} passed on; waiting for the ranks to end (${otherwise})\n`)
    }
    this.#stopSignal ??= signal
    this.#killAll(signal)
    // At a terminal there is somebody to decide how long to wait.
    if (signal !== 'SIGINT') this.#killAfterGrace()
  }
}
