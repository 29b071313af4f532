/** Ranks as processes of their own, which meet at a store of this process, and what they tell about their end. */
import { type ChildProcess, fork, type ForkOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { type HostedStore, hostStore } from '../../ts/src/rendezvous/stores/tcp/host-store.ts'
import type { CallOptions } from '../../ts/src/types.ts'
import { processState, QUIET, waitUntil } from '../cli/_adasum.ts'

/** What a rank runs; it takes its plan, as JSON, as its only argument. */
export interface Script {
  /** Beside this file. */
  readonly name: string
  readonly execArgv: string[]
}

/** Not the flags of the tests: ranks run the package as it was built. */
const RANK: Script = { name: '_rank.mjs', execArgv: [] }
const SECRET = 'faults'
/** For anything that a loaded machine may delay; still far below the 300 s after which a call gives up by itself. */
const PATIENCE_MS = 90_000

export type Deviation = 'kills itself' | 'exits' | 'aborts' | 'waits' | 'calls another op' | 'passes another length'

/** What a rank is to do: `_rank.mjs` reads it. */
export interface Plan {
  /** Length of the array of the second collective, the one that fails. */
  readonly elementCount: number
  /** The rank that deviates in it, and how. */
  readonly deviant: number
  readonly deviation: Deviation
  readonly options?: Pick<CallOptions, 'timeoutMs'>
  /** Whether the ranks connect and all-reduce once more after the failure. */
  readonly connectsAgain?: boolean
  /** The process takes the place of one that has gone: it knows nothing of the failure. */
  readonly joinsLate?: boolean
}

export interface Failure {
  readonly code: string
  readonly message: string
  readonly isOurs: boolean
  readonly rank?: number
  readonly peerRank?: number
  readonly sequence?: number
  readonly lastCompleted?: number
}

export interface Report {
  /** Whether the first all-reduce gave the bits of the local function. */
  readonly wasExact: boolean
  readonly failure: Failure
  readonly failedAfterMs: number
  /** How later calls on the same communicator failed. */
  readonly later: readonly Failure[]
  readonly isUnchanged: boolean
  readonly wasExactAgain?: boolean
}

export interface Ending {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
  /** From the report to the end of the process; NaN without a report. */
  readonly lingeredMs: number
}

type Message<R> = { readonly type: 'ready' | 'begun' } | ({ readonly type: 'report' } & R)

export class RankProcess<R = Report> {
  readonly rank: number
  readonly #child: ChildProcess
  readonly #reported: Promise<R | undefined>
  readonly #told: Record<'ready' | 'begun', Promise<void>>
  readonly #ended: Promise<Ending>
  #stderr = ''

  constructor(rank: number, plan: object, env: NodeJS.ProcessEnv, { name, execArgv }: Script) {
    this.rank = rank
    const options = { env, execArgv, stdio: ['pipe', 'ignore', 'pipe', 'ipc'] } satisfies ForkOptions
    const child = fork(fileURLToPath(new URL(name, import.meta.url)), [JSON.stringify(plan)], options)
    this.#child = child
    // Its end of the pipe goes with it.
    child.stdin!.on('error', () => undefined)
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    let reportedAt = NaN
    this.#ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.once('close', (exitCode, signal) =>
        resolve({ exitCode, signal, stderr: this.#stderr, lingeredMs: performance.now() - reportedAt }),
      )
    })
    // Looked at by those who wait for the end, which a test that has failed already does not.
    this.#ended.catch(() => undefined)
    const told = (type: 'ready' | 'begun') =>
      new Promise<void>((resolve) => child.on('message', (message: Message<R>) => message.type === type && resolve()))
    this.#told = { ready: told('ready'), begun: told('begun') }
    this.#reported = new Promise((resolve) => {
      child.on('message', (message: Message<R>) => {
        if (message.type !== 'report') return
        reportedAt = performance.now()
        resolve(message)
      })
      child.once('close', () => resolve(undefined))
    })
  }

  /** What it saw. */
  async report(): Promise<R> {
    const report = await this.#within(this.#reported, 'no report')
    if (report === undefined) throw new Error(`Rank ${this.rank} ended without a report. ${this.#stderr}`)
    return report
  }

  /** Resolves when the first collective is over here. */
  ready(): Promise<void> {
    return this.#within(this.#told.ready, 'is not ready')
  }

  /** Lets it begin the second collective, or what it waits with. */
  go(): void {
    this.#child.send('go')
  }

  /** Resolves when it has begun the second collective; ranks that strike at once do not say so. */
  begun(): Promise<void> {
    return this.#within(this.#told.begun, 'has not begun')
  }

  ended(): Promise<Ending> {
    return this.#within(this.#ended, 'has not ended')
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Stops the process; one that waits is free to go on as soon as it may run again. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP')
    await this.stopped()
    this.letGoOn()
  }

  /** Resolves once the process has stopped, whoever has stopped it. */
  stopped(): Promise<void> {
    return waitUntil(() => processState(this.#child.pid!) === 'T', `rank ${this.rank} stopped`)
  }

  /** Ends the wait of a rank whose event loop stands still. */
  letGoOn(): void {
    this.#child.stdin!.end('\n')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  async #within<T>(promise: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const fail = (): void => reject(new Error(`Rank ${this.rank}: ${what} after ${PATIENCE_MS} ms. ${this.#stderr}`))
      timer = setTimeout(fail, PATIENCE_MS)
    })
    try {
      return await Promise.race([promise, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

export class ProcessWorld<R = Report, P extends { readonly deviant: number } = Plan> {
  readonly ranks: RankProcess<R>[]
  readonly #t: ExecutionContext
  readonly #store: HostedStore
  readonly #plan: P
  readonly #size: number
  readonly #script: Script
  readonly #failureTimeoutMs: number

  /**
   * Starts all ranks; what is left of them when the test ends is killed.
   *
   * @param failureTimeoutMs - by default, longer than a test stops a rank to see what the time limit of a call does
   */
  static async start<R = Report, P extends { readonly deviant: number } = Plan>(
    t: ExecutionContext,
    size: number,
    plan: P,
    script: Script = RANK,
    failureTimeoutMs: number = 2 * PATIENCE_MS,
  ): Promise<ProcessWorld<R, P>> {
    const store = await hostStore({ host: '127.0.0.1', port: 0, size, secret: SECRET })
    t.teardown(() => store.close())
    return new ProcessWorld<R, P>(t, store, size, plan, script, failureTimeoutMs)
  }

  private constructor(
    t: ExecutionContext,
    store: HostedStore,
    size: number,
    plan: P,
    script: Script,
    failureTimeoutMs: number,
  ) {
    this.#t = t
    this.#failureTimeoutMs = failureTimeoutMs
    this.#store = store
    this.#size = size
    this.#plan = plan
    this.#script = script
    this.ranks = Array.from({ length: size }, (_, rank) => this.#launch(rank, plan))
  }

  get deviant(): RankProcess<R> {
    return this.ranks[this.#plan.deviant]!
  }

  /** All but the one that deviates. */
  get others(): RankProcess<R>[] {
    return this.ranks.filter((rank) => rank !== this.deviant)
  }

  /** Resolves when all ranks have completed the first collective. */
  async ready(): Promise<void> {
    await Promise.all(this.ranks.map((rank) => rank.ready()))
  }

  /** Lets the deviant begin the second collective when all others have. */
  async goDeviantLast(): Promise<void> {
    await this.ready()
    for (const rank of this.others) rank.go()
    await Promise.all(this.others.map((rank) => rank.begun()))
    this.deviant.go()
  }

  /** A new process in the place of the one that deviated. */
  replace(): RankProcess<R> {
    return this.#launch(this.#plan.deviant, { ...this.#plan, joinsLate: true })
  }

  #launch(rank: number, plan: object): RankProcess<R> {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(ADASUM_|NODE_OPTIONS$)/.test(name))
    const env = {
      ...Object.fromEntries(inherited),
      ...QUIET,
      ADASUM_RANK: String(rank),
      ADASUM_SIZE: String(this.#size),
      ADASUM_STORE: `${this.#store.host}:${this.#store.port}`,
      ADASUM_STORE_HOST: 'launcher',
      ADASUM_SECRET: SECRET,
      ADASUM_FAILURE_TIMEOUT_MS: String(this.#failureTimeoutMs),
    }
    const started = new RankProcess<R>(rank, plan, env, this.#script)
    this.#t.teardown(() => started.kill())
    return started
  }
}
