/** One rank as the launcher sees it: a child process, its output and its end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { availableParallelism, constants } from 'node:os'
import type { Readable, Writable } from 'node:stream'
import { systemCode } from '../../errors.ts'
import { patientTimeout } from '../../timing/patience.ts'
import { LinePrefixer } from './line-prefixer.ts'
import type { LaunchPlan } from './plan.ts'
import { threadVariables } from './share-of-machine.ts'
import { TailBuffer } from './tail-buffer.ts'

/** How a rank ended: with a code or by a signal. The other one is null, as in Node.js's `exit` event. */
export interface RankExit {
  code: number | null
  signal: NodeJS.Signals | null
  /** Why the rank could not be started, if it could not. */
  startError?: Error
}

/**
 * How long a pipe may be silent after its rank's end: a process that the rank left behind may hold it open for ever.
 */
const SILENCE_MS = 1_000
const TAIL_BYTES = 16 * 1024
const LAUNCHER_PIPE = 3
const WATCHER: string = import.meta.resolve('#watch-launcher')

export class RankProcess {
  readonly rank: number
  readonly exit: Promise<RankExit>
  readonly #child: ChildProcess
  readonly #prefix: string
  readonly #isShown: boolean
  #hasExited = false
  #drain: Promise<unknown> | undefined
  /** The last errors that a rank without shown output has printed, in case it fails. */
  readonly #hiddenErrors = new TailBuffer(TAIL_BYTES)

  constructor(plan: LaunchPlan, localRank: number, environment: NodeJS.ProcessEnv) {
    this.rank = plan.firstRank + localRank
    this.#prefix = `[${this.rank}] `
    this.#isShown = plan.onlyRank === undefined || plan.onlyRank === this.rank
    const output = plan.onlyRank === undefined ? 'pipe' : this.#isShown ? 'inherit' : 'ignore'
    this.#child = spawn(process.execPath, ['--import', WATCHER, ...plan.nodeArguments], {
      env: environment,
      stdio: ['ignore', output, this.#isShown ? output : 'pipe', 'pipe'],
      // A group of its own: a Ctrl-C in the terminal reaches the launcher alone, which passes it on once.
      detached: process.platform !== 'win32',
    })
    if (this.#isShown) this.#showOutput()
    else this.#child.stderr?.pipe(this.#hiddenErrors)
    this.exit = this.#watchExit()
  }

  /** Sends a signal to the rank and to what it has started. */
  kill(signal: NodeJS.Signals): void {
    const { pid } = this.#child
    if (this.#hasExited || pid === undefined) return
    try {
      process.kill(process.platform === 'win32' ? pid : -pid, signal)
    } catch (error) {
      // It has ended since, and its exit event is on the way.
      if (systemCode(error) !== 'ESRCH') throw error
    }
  }

  /** Resolves when everything that the rank has printed has been passed on. To be called when the rank has ended. */
  drainOutput(): Promise<unknown> {
    this.#drain ??= Promise.all([
      drain(this.#child.stdout, process.stdout),
      drain(this.#child.stderr, this.#isShown ? process.stderr : this.#hiddenErrors),
    ])
    return this.#drain
  }

  /** The last errors that a rank without shown output has printed, each line with its prefix. */
  hiddenErrors(): string {
    return this.#hiddenErrors.text().replaceAll(/^(?=.)/gm, this.#prefix)
  }

  #showOutput(): void {
    this.#show(this.#child.stdout, process.stdout)
    this.#show(this.#child.stderr, process.stderr)
  }

  #show(stream: Readable | null, target: Writable): void {
    const prefixer = new LinePrefixer(this.#prefix)
    stream?.pipe(prefixer).pipe(target, { end: false })
    // A stream that had to be destroyed does not end the prefixer, which may still hold half a line.
    stream?.once('close', () => prefixer.end())
  }

  #watchExit(): Promise<RankExit> {
    return new Promise((resolve) => {
      const end = (exit: RankExit): void => {
        this.#hasExited = true
        this.#child.stdio[LAUNCHER_PIPE]?.destroy()
        resolve(exit)
      }
      this.#child.once('exit', (code, signal) => end({ code, signal }))
      this.#child.once('error', (startError) => {
        if (this.#child.pid === undefined) end({ code: 1, signal: null, startError })
      })
      this.#child.stdio[LAUNCHER_PIPE]?.on('error', () => {})
    })
  }
}

/** Resolves when the stream has closed, or has been silent while its reader was not behind. */
function drain(stream: Readable | null, reader: Writable): Promise<void> {
  if (stream === null || stream.closed) return Promise.resolve()
  return new Promise((resolve) => {
    let cancel: () => void
    const wait = (): void => {
      cancel = patientTimeout(() => (reader.writableLength > 0 ? wait() : stream.destroy()), SILENCE_MS)
    }
    wait()
    stream.on('data', () => {
      cancel()
      wait()
    })
    stream.once('close', () => {
      cancel()
      resolve()
    })
  })
}

/** The environment of a rank. The secret goes this way because everybody can read a command line. */
export function rankEnvironment(plan: LaunchPlan, localRank: number, storeAddress: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ...colourEnvironment(),
    ...threadVariables(availableParallelism(), plan.localSize, process.env),
    ...plan.deviceVariables[localRank],
    ADASUM_RANK: String(plan.firstRank + localRank),
    ADASUM_SIZE: String(plan.worldSize),
    ADASUM_LOCAL_RANK: String(localRank),
    ADASUM_LOCAL_SIZE: String(plan.localSize),
    ADASUM_STORE: storeAddress,
    ADASUM_STORE_HOST: 'launcher',
    ADASUM_SECRET: plan.secret,
    ADASUM_LAUNCHER_PIPE: String(LAUNCHER_PIPE),
    ...(plan.host === undefined ? {} : { ADASUM_HOST: plan.host }),
  }
}

/** A rank sees a pipe and would print without colours even if the launcher's own output is a terminal. */
function colourEnvironment(): NodeJS.ProcessEnv {
  if (!process.stdout.isTTY || 'FORCE_COLOR' in process.env || 'NO_COLOR' in process.env) return {}
  const levels: Record<number, string> = { 4: '1', 8: '2', 24: '3' }
  const level = levels[process.stdout.getColorDepth()]
  return level === undefined ? {} : { FORCE_COLOR: level }
}

/** @returns the exit code a shell would show */
export function shellExitCode({ code, signal }: RankExit): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}

/** How a rank ended, for a sentence that begins with the rank. */
export function exitText({ code, signal, startError }: RankExit): string {
  if (startError !== undefined) return `could not be started (${startError.message})`
  return signal === null ? `exited with code ${code}` : `was ended by ${signal}`
}
