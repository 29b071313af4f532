/** Runs cells for a study: at most once each, in the pool, every result written before the study sees it. */
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { prepareAddon } from '../training/addon.ts'
import type { Cell, Result } from '../training/cell.ts'
import { secondsOf } from './estimate.ts'
import { machine } from './machine.ts'
import { Pool } from './pool.ts'
import type { Progress } from './progress.ts'
import { type ResultLine, appendLine, keyOf, openResults, resultsIn } from './results-file.ts'
import type { Context, Study } from './study.ts'

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
/** Processes run programs in TypeScript, which import the package as it was built, like those of its users. */
const PROGRAM = '--import=tsx'
const RANK = join('studies', 'engine', 'rank.ts')

export interface SessionOptions {
  readonly quick: boolean
  /** Whether to take what has been run before, by this study or another one. */
  readonly resume: boolean
  readonly processes: number
  /** Folder of the files with results. */
  readonly folder: string
}

export class Session implements Context {
  readonly quick: boolean
  readonly #known: Map<string, object>
  readonly #running = new Map<string, Promise<Result>>()
  readonly #env: NodeJS.ProcessEnv
  readonly #pool: Pool
  readonly #path: string
  readonly #progress: Progress
  #lastWorld: Promise<unknown> = Promise.resolve()

  private constructor(study: Study, options: SessionOptions, env: NodeJS.ProcessEnv, progress: Progress) {
    this.quick = options.quick
    this.#env = env
    this.#pool = new Pool(options.processes, env)
    this.#progress = progress
    this.#path = join(options.folder, `${study.name}.jsonl`)
    openResults(this.#path, options.resume)
    this.#known = options.resume ? resultsIn(filesIn(options.folder)) : new Map<string, object>()
    appendLine(this.#path, { machine: machine(ROOT, options.processes) })
  }

  /** @throws Error if results are there that would be lost, or what the study needs is not on this machine */
  static async open(study: Study, options: SessionOptions, progress: Progress): Promise<Session> {
    const path = join(options.folder, `${study.name}.jsonl`)
    if (!options.resume && !options.quick && existsSync(path))
      throw new Error(`${path} has results. Go on with --resume, or delete the file.`)
    mkdirSync(options.folder, { recursive: true })
    if (study.models.some((model) => model !== 'plain')) await prepareAddon((text) => progress.say(text))
    return new Session(study, options, { ...process.env, NODE_OPTIONS: PROGRAM }, progress)
  }

  run(cells: readonly Cell[]): Promise<Result[]> {
    return Promise.all(cells.map((cell) => this.#runOne(cell)))
  }

  /** The same cell by a world of processes, through `adasum run`. */
  async runByProcesses(cell: Cell): Promise<Result> {
    if (typeof cell.workers !== 'number') throw new Error('processes do not change in number.')
    const args = [join('bin', 'adasum.js'), 'run', '-n', String(cell.workers), RANK, JSON.stringify(cell)]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env: this.#env })
    const line = stdout.split('\n').find((text) => text.includes('{"accuracy"'))
    if (line === undefined) throw new Error(`the processes have printed no result: ${stdout.slice(-500)}`)
    return JSON.parse(line.slice(line.indexOf('{'))) as Result
  }

  /** Writes a line that is no run beside the runs. */
  note(line: ResultLine): void {
    appendLine(this.#path, line)
  }

  close(): void {
    this.#pool.close()
    this.#progress.close()
  }

  #runOne(cell: Cell): Promise<Result> {
    const key = keyOf(cell)
    const known = this.#known.get(key)
    if (known !== undefined) {
      this.#progress.skip(secondsOf(cell))
      return Promise.resolve(known as Result)
    }
    const running = this.#running.get(key) ?? this.#start(cell)
    this.#running.set(key, running)
    return running
  }

  /** Formats belong to an exchange between processes, and one world of them fills the machine. */
  #compute(cell: Cell, onProgress: (progress: number) => void): Promise<Result> {
    if (cell.precision === undefined) return this.#pool.run(cell, onProgress)
    const result = this.#lastWorld.then(() => this.runByProcesses(cell))
    this.#lastWorld = result.catch(() => undefined)
    return result
  }

  async #start(cell: Cell): Promise<Result> {
    const seconds = secondsOf(cell)
    const job = this.#progress.begin(seconds)
    const result = await this.#compute(cell, (progress) => job.update(progress))
    appendLine(this.#path, { cell, result })
    job.done()
    return result
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => join(folder, name))
}
