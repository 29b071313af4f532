/**
 * The reduction of vectors that lie in GPUBuffers of the page, such as the gradients of tfjs, without bringing them to
 * the host.
 *
 * Long segments are read in their own buffers, and their results are written to the buffers of `out`. Short segments
 * are copied together on the device, since each would need a dispatch of its own otherwise. Only partial sums come back
 * to the host.
 */
import { AdasumError } from '../errors.ts'
import { checkOptions } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../tensor/layout.ts'
import type { OptionNames, ReduceOp } from '../types.ts'
import type { GpuDevice } from './device.ts'
import type { BufferReducerHandle, ReductionRecord } from './gpu-binding.ts'
import { type GpuReduceOptions, checkCountOfVectors, checkReduction, dtypeNamed } from './gpu-options.ts'
import { bufferOfEach } from './page-buffers.ts'
import { Turns, typedOn } from './turns.ts'
import { USAGE, type PageBuffer } from './web/webgpu.ts'

/** Options of a BufferReducer. */
export interface BufferReducerOptions {
  /** The device that the buffers belong to: `GpuDevice.from(device)`. */
  device: GpuDevice
  /** How many vectors: 1 to 16. More than 6 are copied together, whatever their length. */
  inputs: number
  /** Element counts of the segments (layers); each segment has a buffer. */
  segments: ArrayLike<number>
  /** Default `f32`. */
  dtype?: 'f32' | 'f16' | 'bf16'
  /** A segment of at least so many bytes and a multiple of four elements is used in place. Default 65,536. */
  inPlaceBytes?: number
}

const OPTIONS: OptionNames<BufferReducerOptions> = {
  device: true,
  inputs: true,
  segments: true,
  dtype: true,
  inPlaceBytes: true,
}

const IN_PLACE_BYTES = 1 << 16

/** Combines vectors that lie in buffers of a page's own device, without bringing them to the CPU. */
export class BufferReducer {
  readonly #handle: BufferReducerHandle
  readonly #turns = new Turns()
  /** How many vectors it combines. */
  readonly inputCount: number
  /** The dtype of their elements. */
  readonly dtype: Dtype
  /** The segments of a vector. */
  readonly layout: Layout

  private constructor(handle: BufferReducerHandle, inputCount: number, layout: Layout) {
    this.#handle = handle
    this.inputCount = inputCount
    this.dtype = layout.dtype
    this.layout = layout
  }

  /**
   * Allocates memory for partial sums and for the segments that are copied together; it serves any number of
   * reductions.
   *
   * @throws AdasumError ERR_UNSUPPORTED for more than 16 inputs, or a device of Node.js; ERR_ARGUMENT;
   *   ERR_OUT_OF_MEMORY; ERR_DEVICE_LOST
   */
  static async create(options: BufferReducerOptions): Promise<BufferReducer> {
    checkOptions(options, OPTIONS)
    const { device, inputs, segments, dtype: name = 'f32', inPlaceBytes = IN_PLACE_BYTES } = options
    checkCountOfVectors('inputs', inputs)
    if (typeof inPlaceBytes !== 'number' || !(inPlaceBytes >= 0))
      throw new AdasumError('ERR_ARGUMENT', `inPlaceBytes is ${String(inPlaceBytes)}; it must be a number from 0 on.`)
    const elementCount = Array.from(segments).reduce((sum, count) => sum + count, 0)
    const layout = layoutOfArray(dtypeNamed(name), elementCount, Array.from(segments))
    const { handle } = device
    if (!handle.makeBufferReducer)
      throw new AdasumError('ERR_UNSUPPORTED', 'there are no GPUBuffers outside of browsers. Use GpuReducer.')
    const { dtype, segmentElementCounts } = layout
    const made = await typedOn(() => handle.makeBufferReducer!(dtype.code, inputs, segmentElementCounts, inPlaceBytes))
    return new BufferReducer(made, inputs, layout)
  }

  /**
   * Combines the inputs. The caller's buffers may be written again, or destroyed, once the promise has settled;
   * commands that the caller submitted before come first.
   *
   * @param inputs - by input and segment; usages COPY_SRC and STORAGE, of half formats whole words
   * @param out - by segment; usages COPY_DST and STORAGE. None of them among the inputs
   * @throws AdasumError ERR_ARGUMENT for buffers that do not fit; ERR_NON_FINITE if an input is not finite and the
   *   policy is to throw; ERR_DEVICE_LOST; ERR_OUT_OF_MEMORY
   */
  reduce(
    op: ReduceOp,
    inputs: readonly (readonly PageBuffer[])[],
    out: readonly PageBuffer[],
    options: GpuReduceOptions = {},
  ): Promise<ReductionRecord> {
    return this.#turns.take(() => {
      const { opCode, policyCode, dtype } = checkReduction(op, options, this.dtype)
      if (!Array.isArray(inputs) || inputs.length !== this.inputCount)
        throw new AdasumError(
          'ERR_ARGUMENT',
          `there are ${Array.isArray(inputs) ? inputs.length : 0} inputs, the reducer is for ${this.inputCount}. Give as many.`,
        )
      const read = { copySource: USAGE.copySource, storage: USAGE.storage }
      const lists = inputs.map((buffers: readonly PageBuffer[], index) =>
        bufferOfEach(buffers, this.layout, this.dtype, `inputs[${index}]`, read),
      )
      const written = { copyTarget: USAGE.copyTarget, storage: USAGE.storage }
      const targets = bufferOfEach(out, this.layout, dtype, 'out', written)
      checkApart(lists, targets)
      return this.#handle.reduceBuffers(opCode, policyCode, dtype.code, lists, targets)
    })
  }

  /** Frees all memory, after the calls that were made before. The caller's buffers stay. */
  close(): Promise<void> {
    return this.#turns.take(() => this.#handle.release())
  }

  /** Closes it, at the end of an `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Checks that no buffer of `out` is an input, or in `out` twice: a dispatch may not read what it writes, nor write a
 * buffer twice.
 */
function checkApart(inputs: readonly (readonly PageBuffer[])[], out: readonly PageBuffer[]): void {
  const seen = new Map<PageBuffer, string>()
  for (const [index, buffers] of inputs.entries())
    for (const [segment, buffer] of buffers.entries()) seen.set(buffer, `inputs[${index}][${segment}]`)
  for (const [segment, buffer] of out.entries()) {
    const other = seen.get(buffer)
    if (other !== undefined)
      throw new AdasumError('ERR_ARGUMENT', `out[${segment}] and ${other} are one buffer. Give each its own.`)
    seen.set(buffer, `out[${segment}]`)
  }
}
