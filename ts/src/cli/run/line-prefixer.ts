import { Transform, type TransformCallback } from 'node:stream'

const NEWLINE = 0x0a

/**
 * Puts a prefix before every line. A line goes out whole or not at all until the end, so that lines of several ranks do
 * not mix; works on bytes, so that a character cut in two by a chunk's end stays one.
 */
export class LinePrefixer extends Transform {
  readonly #prefix: Buffer
  #unfinished: Buffer[] = []

  constructor(prefix: string) {
    super()
    this.#prefix = Buffer.from(prefix)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const output: Buffer[] = []
    let begin = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, begin)) {
      output.push(this.#prefix, ...this.#unfinished, chunk.subarray(begin, end + 1))
      this.#unfinished = []
      begin = end + 1
    }
    if (begin < chunk.length) this.#unfinished.push(chunk.subarray(begin))
    done(null, output.length === 0 ? undefined : Buffer.concat(output))
  }

  override _flush(done: TransformCallback): void {
    if (this.#unfinished.length === 0) return done()
    done(null, Buffer.concat([this.#prefix, ...this.#unfinished, Buffer.from('\n')]))
  }
}
