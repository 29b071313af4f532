/** Processes that run cells, one at a time each. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Cell, Result } from '../training/cell.ts'
import type { Message } from './worker.ts'

/**
 * What a gradient takes is a few large arrays, given back at its end: glibc would return them to the system each time, and
 * have it clear them anew, which took half of the time.
 */
const KEEPS_MEMORY = { MALLOC_MMAP_THRESHOLD_: String(1 << 28), MALLOC_TRIM_THRESHOLD_: String(1 << 29) }

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url))

interface Task {
  readonly cell: Cell
  readonly onProgress: (progress: number) => void
  readonly resolve: (result: Result) => void
  readonly reject: (error: Error) => void
}

export class Pool {
  readonly #size: number
  readonly #env: NodeJS.ProcessEnv
  readonly #waiting: Task[] = []
  readonly #idle: ChildProcess[] = []
  readonly #all = new Set<ChildProcess>()

  /**
   * @param size - the most processes at once
   * @param env - theirs
   */
  constructor(size: number, env: NodeJS.ProcessEnv) {
    this.#size = size
    this.#env = env
  }

  /**
   * Runs a cell once a process is free; those that came first go first.
   *
   * @throws Error what the process threw, or that it ended
   */
  run(cell: Cell, onProgress: (progress: number) => void): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ cell, onProgress, resolve, reject })
      this.#next()
    })
  }

  /** Ends all processes; runs that wait or go on are never settled. */
  close(): void {
    this.#waiting.length = 0
    for (const child of this.#all) child.kill()
  }

  #next(): void {
    if (this.#waiting.length === 0) return
    const child = this.#idle.pop() ?? (this.#all.size < this.#size ? this.#start() : undefined)
    if (child !== undefined) this.#give(child, this.#waiting.shift()!)
  }

  #start(): ChildProcess {
    const env = { ...KEEPS_MEMORY, ...this.#env }
    const child = fork(WORKER, { env, execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#all.add(child)
    child.once('exit', () => {
      this.#all.delete(child)
      if (this.#idle.includes(child)) this.#idle.splice(this.#idle.indexOf(child), 1)
      this.#next()
    })
    return child
  }

  #give(child: ChildProcess, { cell, onProgress, resolve, reject }: Task): void {
    const settle = (): void => {
      child.off('message', onMessage)
      child.off('exit', onExit)
    }
    const onExit = (code: number | null, signal: string | null): void => {
      settle()
      reject(new Error(`a process of the pool ended with ${signal ?? `exit code ${code}`}.`))
    }
    const onMessage = (message: Message): void => {
      if (message.type === 'progress') return onProgress(message.progress)
      settle()
      if (message.type === 'done') resolve(message.result)
      else reject(new Error(message.message))
      this.#idle.push(child)
      this.#next()
    }
    child.on('message', onMessage)
    child.on('exit', onExit)
    child.send(cell)
  }
}
