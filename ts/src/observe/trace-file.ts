/**
 * A file of trace events in Chrome's JSON array format, one event a line. The comma between two events is written with
 * the second, so that the file can be read at any time, also after the process has been killed: readers add the bracket
 * that is missing at the end.
 *
 * Nothing waits for the disk: events are kept in memory and written in the background. If the disk cannot keep up, or
 * fails, events are dropped, and a warning says so.
 */
import { emitWarning } from '#platform'
import { closeSync, openSync, write, writeSync } from 'node:fs'
import { AdasumError, type ErrorCode, systemCode } from '../errors.ts'

const FLUSH_BYTE_LENGTH = 64 << 10
const FLUSH_AFTER_MS = 500
/** The most events that may wait for the disk. */
const MOST_BYTE_LENGTH = 32 << 20

/** The files that are open: the end of the process closes them. */
const open = new Set<TraceFile>()
/** How often this process has used a name: a second world must not write over the file of the first. */
const uses = new Map<string, number>()

export interface TraceFileOptions {
  readonly path: string
  /** The setting that names the file, for messages: `option "timeline"`. */
  readonly origin: string
  readonly code: ErrorCode
}

export class TraceFile {
  readonly path: string
  readonly #descriptor: number
  /** Events that wait to be written, and their length in characters, which are bytes but for a few. */
  #waiting: string[] = []
  #waitingLength = 0
  /** The bytes that are being written, and their position in the file. */
  #chunk: Buffer = Buffer.alloc(0)
  #position = 0
  #writing: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #hasEvents = false
  #isOver = false

  /** @throws AdasumError if the file cannot be made */
  constructor({ path, origin, code }: TraceFileOptions) {
    this.path = freshName(path)
    try {
      this.#descriptor = openSync(this.path, 'w')
    } catch (cause) {
      const why = systemCode(cause) ?? String(cause)
      const message = `${origin} names ${path}, and ${this.path} cannot be written (${why}): choose another file`
      throw new AdasumError(code, message, { cause })
    }
    this.#keep('[')
    if (open.size === 0) process.on('exit', closeAll)
    open.add(this)
  }

  event(event: object): void {
    if (this.#isOver) return
    if (this.#waitingLength > MOST_BYTE_LENGTH) return this.#overflow()
    this.#keep(`${this.#hasEvents ? ',' : ''}\n${JSON.stringify(event)}`)
    this.#hasEvents = true
    if (this.#waitingLength >= FLUSH_BYTE_LENGTH) void this.flush()
    else this.#timer ??= setTimeout(() => void this.flush(), FLUSH_AFTER_MS).unref()
  }

  /** Resolves when everything until now has been written, or cannot be. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    while (this.#writing || this.#waiting.length > 0) await (this.#writing ??= this.#writeOut())
  }

  async close(): Promise<void> {
    if (!open.delete(this)) return
    if (open.size === 0) process.removeListener('exit', closeAll)
    if (!this.#isOver) this.#keep('\n]\n')
    this.#isOver = true
    await this.flush()
    closeSync(this.#descriptor)
  }

  /** At the end of the process, when nothing can be waited for. */
  closeNow(): void {
    if (!this.#isOver) this.#keep('\n]\n')
    this.#isOver = true
    // The chunk that was being written is written once more, at the same position.
    const rest = Buffer.concat([this.#chunk, Buffer.from(this.#waiting.join(''))])
    try {
      for (let at = 0; at < rest.length;) at += writeSync(this.#descriptor, rest, at, undefined, this.#position + at)
    } catch {
      // Nobody is left to hear of it.
    }
  }

  #keep(text: string): void {
    this.#waiting.push(text)
    this.#waitingLength += text.length
  }

  async #writeOut(): Promise<void> {
    this.#chunk = Buffer.from(this.#waiting.join(''))
    this.#waiting = []
    this.#waitingLength = 0
    try {
      while (this.#chunk.length > 0) {
        const count = await writeAt(this.#descriptor, this.#chunk, this.#position)
        this.#position += count
        this.#chunk = this.#chunk.subarray(count)
      }
    } catch (error) {
      this.#giveUp(systemCode(error) ?? String(error))
    }
    this.#writing = undefined
  }

  /** The calls go on without a timeline. */
  #overflow(): void {
    this.#warn(`${MOST_BYTE_LENGTH >> 20} MiB of events wait to be written`)
    this.#keep('\n]\n')
    this.#isOver = true
  }

  #giveUp(why: string): void {
    this.#warn(why)
    this.#isOver = true
    this.#waiting = []
    this.#chunk = Buffer.alloc(0)
  }

  #warn(why: string): void {
    emitWarning(`The timeline ${this.path} ends here: ${why}.`, 'ADASUM_TIMELINE')
  }
}

function writeAt(descriptor: number, bytes: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, 0, bytes.length, position, (error, count) => (error ? reject(error) : resolve(count)))
  })
}

function closeAll(): void {
  for (const file of open) file.closeNow()
}

/** `trace-2.json` where this process has written a `trace.json`. */
function freshName(path: string): string {
  const use = (uses.get(path) ?? 0) + 1
  uses.set(path, use)
  if (use === 1) return path
  const dot = /\.[^./\\]+$/.exec(path)?.index ?? path.length
  return `${path.slice(0, dot)}-${use}${path.slice(dot)}`
}
