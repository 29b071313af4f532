/**
 * Compression of the data that an all-reduce sends: the format, and the residuals of earlier calls.
 *
 * A compressor belongs to the caller, who passes it to every call of one kind. With error feedback each rank adds the
 * residual, which is the error of the last quantisation, to the next call's numbers. Residuals are kept by segment
 * (name and element count) and by the stage of the schedule that quantised the numbers. They are replaced only once the
 * call has its result.
 */
import { AdasumError, inspect, reading } from './errors.ts'

/** f16 and bf16: two bytes an element. int8: one byte, and four for each block. */
export type CompressionFormat = 'f16' | 'bf16' | 'int8'

export const COMPRESSION_FORMATS: readonly CompressionFormat[] = ['f16', 'bf16', 'int8']

/** Options of a Compressor. */
export interface CompressorOptions {
  /** The same on every rank. */
  format: CompressionFormat
  /** int8 only: elements that share a scale, a power of two from 16 to 2,048; the same on every rank. Default 256. */
  blockElementCount?: number
  /** Whether the residual of a call is added to the next call's numbers. Default true. */
  errorFeedback?: boolean
}

const OPTION_NAMES: Readonly<Record<keyof CompressorOptions, true>> = {
  format: true,
  blockElementCount: true,
  errorFeedback: true,
}

const DEFAULT_BLOCK_ELEMENTS = 256
const SMALLEST_BLOCK_ELEMENTS = 16
const LARGEST_BLOCK_ELEMENTS = 2048

/** The residuals of a compressor, by stage and segment. */
export class Residuals {
  readonly #arrays = new Map<string, Float32Array>()
  readonly #inUse = new Set<string>()

  /**
   * Takes segments for a call.
   * @throws AdasumError ERR_NOT_READY if another call has one of them
   */
  claim(segments: readonly string[]): void {
    const taken = segments.find((segment) => this.#inUse.has(segment))
    if (taken !== undefined)
      throw new AdasumError(
        'ERR_NOT_READY',
        `the compressor is in use: another call has segment ${inspect(taken)}. Await that call first, or use one compressor for each call under way.`,
      )
    for (const segment of segments) this.#inUse.add(segment)
  }

  release(segments: readonly string[]): void {
    for (const segment of segments) this.#inUse.delete(segment)
  }

  /** A residual; undefined if there is none, which counts as zeros. */
  get(stage: number, segment: string): Float32Array | undefined {
    return this.#arrays.get(`${stage} ${segment}`)
  }

  set(stage: number, segment: string, residual: Float32Array): void {
    this.#arrays.set(`${stage} ${segment}`, residual)
  }

  clear(): void {
    if (this.#inUse.size > 0)
      throw new AdasumError(
        'ERR_NOT_READY',
        `the compressor is in use: ${this.#inUse.size} segments of a call under way. Await that call first.`,
      )
    this.#arrays.clear()
  }
}

/** The residuals that a compressor keeps. */
export let residualsOf: (compressor: Compressor) => Residuals
/** Whether a value is a compressor of this copy of the package, and not merely an object with its prototype. */
export let isCompressor: (value: unknown) => value is Compressor

/** A format in which f32 travels, and what was lost in it so far. See docs/compression.md. */
export class Compressor {
  /** The format. */
  readonly format: CompressionFormat
  /** int8 only: elements that share a scale. */
  readonly blockElementCount: number
  /** Whether the residual of a call is added to the next call's numbers. */
  readonly errorFeedback: boolean
  readonly #residuals = new Residuals()

  static {
    residualsOf = (compressor) => compressor.#residuals
    isCompressor = (value): value is Compressor => typeof value === 'object' && value !== null && #residuals in value
  }

  /** @throws AdasumError ERR_ARGUMENT for an unknown format or option, or a block of another size */
  constructor(given: CompressorOptions) {
    const options = reading('options', () => {
      checkNames(given)
      return { ...given }
    })
    const { format, blockElementCount = DEFAULT_BLOCK_ELEMENTS, errorFeedback = true } = options
    if (!COMPRESSION_FORMATS.includes(format))
      refuse(`format is ${inspect(format)}; it must be one of ${COMPRESSION_FORMATS.join(', ')}.`)
    if (format !== 'int8' && options.blockElementCount !== undefined)
      refuse(`blockElementCount is ${inspect(blockElementCount)}, but ${format} has no blocks. Leave it out.`)
    if (!isBlock(blockElementCount))
      refuse(
        `blockElementCount is ${inspect(blockElementCount)}; it must be a power of two from ${SMALLEST_BLOCK_ELEMENTS} to ${LARGEST_BLOCK_ELEMENTS}.`,
      )
    if (typeof errorFeedback !== 'boolean')
      refuse(`errorFeedback is ${inspect(errorFeedback)}; it must be true or false.`)
    this.format = format
    this.blockElementCount = blockElementCount
    this.errorFeedback = errorFeedback
  }

  /**
   * Forgets all residuals. Call it when training goes on from other weights.
   * @throws AdasumError ERR_NOT_READY while a call uses it
   */
  reset(): void {
    this.#residuals.clear()
  }
}

function refuse(message: string): never {
  throw new AdasumError('ERR_ARGUMENT', message)
}

function checkNames(options: unknown): void {
  if (typeof options !== 'object' || options === null) refuse(`options must be an object; got ${inspect(options)}.`)
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTION_NAMES, name))
  if (unknown !== undefined)
    refuse(`there is no option "${inspect(unknown)}". The options are ${Object.keys(OPTION_NAMES).join(', ')}.`)
}

function isBlock(count: unknown): boolean {
  return (
    Number.isInteger(count) &&
    (count as number) >= SMALLEST_BLOCK_ELEMENTS &&
    (count as number) <= LARGEST_BLOCK_ELEMENTS &&
    Number.isInteger(Math.log2(count as number))
  )
}
