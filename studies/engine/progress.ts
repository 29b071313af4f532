/** How far a study is, and how long it still takes: one line that moves in a terminal, a line now and then elsewhere. */
import { createLogUpdate } from 'log-update'

const REDRAW_MS = 200
const PLAIN_LINE_MS = 15_000
const COLUMNS = 30

export interface Job {
  update(progress: number): void
  done(): void
}

export class Progress {
  readonly #stream: NodeJS.WriteStream
  readonly #log: ReturnType<typeof createLogUpdate> | undefined
  readonly #timer: NodeJS.Timeout
  readonly #name: string
  readonly #jobs = new Map<object, number>()
  #started: number | undefined
  #total: number
  #asked = 0
  #skipped = 0
  #done = 0
  #runs = 0
  #isClosed = false

  /** @param total - seconds of one core that the study is estimated to take */
  constructor(stream: NodeJS.WriteStream, name: string, total: number) {
    this.#stream = stream
    this.#name = name
    this.#total = total
    const isLive = stream.isTTY === true && process.env['TERM'] !== 'dumb'
    this.#log = isLive ? createLogUpdate(stream) : undefined
    this.#timer = setInterval(() => this.#draw(), isLive ? REDRAW_MS : PLAIN_LINE_MS)
    this.#timer.unref()
  }

  say(text: string): void {
    this.#log?.clear()
    this.#stream.write(`${this.#name}: ${text}\n`)
  }

  /** A run that takes so many seconds of a core by the estimate. */
  begin(seconds: number): Job {
    const key = {}
    // What is installed before the first run says nothing about the others.
    this.#started ??= performance.now()
    this.#ask(seconds)
    return {
      update: (progress) => void this.#jobs.set(key, seconds * progress),
      done: () => {
        this.#jobs.delete(key)
        this.#done += seconds
        this.#runs++
      },
    }
  }

  /** A run whose result is there already. */
  skip(seconds: number): void {
    this.#ask(seconds)
    this.#skipped += seconds
  }

  /** Draws the last line; more calls do nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#draw()
    this.#log?.done()
  }

  /** Grids may grow beyond the estimate. */
  #ask(seconds: number): void {
    this.#asked += seconds
    this.#total = Math.max(this.#total, this.#asked)
  }

  #draw(): void {
    const line = this.line()
    if (this.#log) this.#log(line)
    else this.#stream.write(`${line}\n`)
  }

  /** The line, as it is now. */
  line(): string {
    const running = [...this.#jobs.values()].reduce((sum, value) => sum + value, 0)
    const worked = this.#done + running
    const share = Math.min(1, this.#total === 0 ? 1 : (worked + this.#skipped) / this.#total)
    const elapsed = (performance.now() - (this.#started ?? performance.now())) / 1000
    const left = worked > 0 ? (elapsed * (this.#total - worked - this.#skipped)) / worked : NaN
    const filled = Math.floor(share * COLUMNS)
    const bar = '━'.repeat(filled) + '─'.repeat(COLUMNS - filled)
    const time = `${timeText(elapsed)} gone, ${Number.isNaN(left) ? 'unknown' : timeText(Math.max(0, left))} left`
    return `${this.#name}  ${bar}  ${Math.floor(100 * share)} %  ${this.#runs} runs  ${time}`
  }
}

export function timeText(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`
  return `${(seconds / 3600).toFixed(1)} h`
}
