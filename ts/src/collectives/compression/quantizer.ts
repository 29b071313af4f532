import type { Coding, QuantizeWork } from '../../kernels/quantize.ts'
import type { Feedback } from './feedback.ts'

/** Turns numbers into codes and back: what an all-reduce needs to send fewer bytes. */
export interface Quantizer {
  readonly coding: Coding
  /** The residual, if there is one, is added first and then replaced by what is left over. */
  quantize(job: QuantizeJob, residual: Float32Array | undefined): Promise<void>
  dequantize(job: QuantizeJob): Promise<void>
}

export interface QuantizeJob extends Omit<QuantizeWork, 'coding'> {
  /** Whose the numbers are: the caller's are touched on this thread only, and `check` runs each time the event loop has turned. */
  readonly memory: 'caller' | 'pool'
  readonly check: () => void
}

/** How a call's numbers are compressed. */
export interface Compression {
  readonly quantizer: Quantizer
  /** Absent: what is left over is lost. */
  readonly feedback: Feedback | undefined
  /** Of the call's vector, the first element that this is about. */
  readonly firstElement: number
}

/** The same for a part of the vector. */
export function compressionFrom(compression: Compression | undefined, element: number): Compression | undefined {
  return compression && { ...compression, firstElement: compression.firstElement + element }
}
