/** What the launcher does while ranks run: passes signals on, and ends all ranks when one fails. */
import { constants } from 'node:os'
import { type RankExit, type RankProcess, describeExit, shellExitCode } from './rank-process.ts'

/** From the request to end until the ranks that have not are killed. */
const GRACE_MS = 5_000
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class Supervisor {
  readonly #ranks: readonly RankProcess[]
  readonly #handlers = new Map<NodeJS.Signals, () => void>()
  /** The first rank that failed before anything asked it to end. */
  #failure: { rank: RankProcess; exit: RankExit } | undefined
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
    if (this.#stopSignal === 'SIGPIPE') return 128 + constants.signals.SIGPIPE
    return this.#failure === undefined ? 0 : shellExitCode(this.#failure.exit)
  }

  async #follow(rank: RankProcess): Promise<void> {
    const exit = await rank.exited
    const isFirstFailure = this.#failure === undefined && shellExitCode(exit) !== 0
    if (isFirstFailure) this.#failure = { rank, exit }
    if (isFirstFailure && this.#stopSignal === undefined) this.#endOthers()
    await rank.drained()
    if (isFirstFailure && this.#stopSignal === undefined) this.#report(rank, exit)
  }

  #endOthers(): void {
    this.#killAll('SIGTERM')
    this.#killAfterGrace()
  }

  #killAfterGrace(): void {
    this.#killTimer ??= setTimeout(() => this.#killAll('SIGKILL'), GRACE_MS)
  }

  /** Comes after the rank's own last words, so that the reader has both in order. */
  #report(rank: RankProcess, exit: RankExit): void {
    const others = this.#ranks.length > 1 ? '; ending the other ranks' : ''
    process.stderr.write(`${rank.hiddenErrors()}adasum run: rank ${rank.rank} ${describeExit(exit)}${others}\n`)
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
