import { Writable } from 'node:stream'

/** Keeps the last bytes of what is written to it. */
export class TailBuffer extends Writable {
  readonly #byteLimit: number
  #tail: Buffer = Buffer.alloc(0)

  constructor(byteLimit: number) {
    super()
    this.#byteLimit = byteLimit
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-this.#byteLimit)
    done()
  }

  /** Ends with a newline unless it is empty. */
  text(): string {
    const text = this.#tail.toString()
    return text === '' || text.endsWith('\n') ? text : `${text}\n`
  }
}
