/**
 * What the launcher does while ranks run: passes signals on, and ends all ranks when one fails or is waited for in
 * vain.
 */
import { constants } from 'node:os'
import { FAILURE } from '../command-error.ts'
import { type RankProcess, exitText, shellExitCode } from './rank-process.ts'

/** How long ranks that are asked to end may take before they are killed. */
const GRACE_MS = 5_000
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class Supervisor {
  readonly #ranks: readonly RankProcess[]
  readonly #handlers = new Map<NodeJS.Signals, () => void>()
  /** The exit code of the first rank that failed; the promise resolves when stderr has the report of it. */
  #failure: { exitCode: number; whenReported: Promise<void> } | undefined
  /** Ranks that ended with code 0. */
  readonly #endedRanks: RankProcess[] = []
  /** Ranks that wait at the store, those of other machines included. */
  #waitingRanks: readonly number[] = []
  /** Set once the ranks have been asked to end, because of a signal or because nobody reads the output any more. */
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
    await this.#failure?.whenReported
    if (this.#stopSignal === 'SIGPIPE') return 128 + constants.signals.SIGPIPE
    return this.#failure?.exitCode ?? 0
  }

  /** The store calls it with the ranks that wait there for others, whenever these have changed. */
  onWaiting(ranks: readonly number[]): void {
    this.#waitingRanks = ranks
    this.#requirePresence()
  }

  async #follow(rank: RankProcess): Promise<void> {
    const exit = await rank.exit
    const exitCode = shellExitCode(exit)
    if (exitCode === 0) this.#endedRanks.push(rank)
    if (exitCode === 0) this.#requirePresence()
    else this.#fail(rank, exitCode, exitText(exit))
    await rank.drainOutput()
  }

  /**
   * A rank that has ended will not come to the store, so the ranks that wait there wait in vain. Only the store knows
   * which do: a rank may notice its answer late, when another one has done its work and ended already.
   */
  #requirePresence(): void {
    const absent = this.#endedRanks.find(({ rank }) => !this.#waitingRanks.includes(rank))
    if (absent === undefined || this.#waitingRanks.length === 0) return
    const [subject, verb] = this.#waitingRanks.length === 1 ? ['rank', 'waits'] : ['ranks', 'wait']
    const waiting = `${subject} ${this.#waitingRanks.join(', ')} still ${verb} in connect()`
    this.#fail(
      absent,
      FAILURE,
      `ended with code 0 while ${waiting}, which every rank has to call as often as the others`,
    )
  }

  #fail(rank: RankProcess, exitCode: number, words: string): void {
    if (this.#failure !== undefined) return
    const isStopping = this.#stopSignal !== undefined
    this.#failure = { exitCode, whenReported: isStopping ? Promise.resolve() : this.#report(rank, words) }
    if (!isStopping) this.#endOthers()
  }

  #endOthers(): void {
    this.#killAll('SIGTERM')
    this.#killAfterGrace()
  }

  #killAfterGrace(): void {
    this.#killTimer ??= setTimeout(() => this.#killAll('SIGKILL'), GRACE_MS)
  }

  /** Waits for the rank's own last output, so that the report comes after it. */
  async #report(rank: RankProcess, words: string): Promise<void> {
    await rank.drainOutput()
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
