import type { Coding, QuantizeWork } from '../../kernels/quantize.ts'
import type { Feedback } from './feedback.ts'

/** Turns numbers into codes and back, so that an all-reduce sends fewer bytes. */
export interface Quantizer {
  readonly coding: Coding
  /** Encodes. A residual is added first, and then replaced by what the codes leave over. */
  quantize(job: QuantizeJob, residual: Float32Array | undefined): Promise<void>
  dequantize(job: QuantizeJob): Promise<void>
}

export interface QuantizeJob extends Omit<QuantizeWork, 'coding'> {
  /**
   * Who owns the numbers. The caller's are touched on this thread only, and `check` runs each time the event loop has
   * turned.
   */
  readonly memory: 'caller' | 'pool'
  readonly check: () => void
}

/** How a call's numbers are compressed. */
export interface Compression {
  readonly quantizer: Quantizer
  /** Undefined: what the codes leave over is lost. */
  readonly feedback: Feedback | undefined
  /** The number, within the call's vector, of the first element that is compressed. */
  readonly firstElement: number
}

/** The same for the part of the vector that begins at an element. */
export function compressionFrom(compression: Compression | undefined, element: number): Compression | undefined {
  return compression && { ...compression, firstElement: compression.firstElement + element }
}
