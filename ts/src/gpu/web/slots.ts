/** Copies of vectors into slots, from the host's memory or from buffers on the device. */
import type { WebDevice } from './device.ts'
import { BINDING, Dispatch } from './dispatch.ts'
import type { PartGlue, PlanGlue } from './glue.ts'
import { type Stretch, type WebWindow, byteLengthOf, byteOffset, stretchesOf, wordBytes } from './windows.ts'
import type { Trim } from './trim.ts'
import type { PageBuffer, WebBuffer, WebEncoder } from './webgpu.ts'

/** Copies a stretch of a vector from wherever it lies to the byte `at` of a buffer. */
type Source = (stretch: Stretch, encoder: WebEncoder, target: PageBuffer, at: number) => void

export class SlotWriter {
  readonly #gpu: WebDevice
  readonly #plan: PlanGlue
  readonly #dtype: number
  readonly #windows: readonly WebWindow[]
  readonly #trim: Trim | undefined
  #upload: WebBuffer | undefined

  constructor(gpu: WebDevice, plan: PlanGlue, dtype: number, windows: readonly WebWindow[], trim: Trim | undefined) {
    this.#gpu = gpu
    this.#plan = plan
    this.#dtype = dtype
    this.#windows = windows
    this.#trim = trim
  }

  write(slot: number, dtype: number, vector: Uint8Array, begin: number, end: number): Promise<void> {
    return this.#put(slot, dtype, begin, end, this.#fromHost(vector, byteLengthOf(dtype)))
  }

  accumulate(slot: number, vector: Uint8Array, begin: number, end: number): Promise<void> {
    return this.#put(slot, undefined, begin, end, this.#fromHost(vector, byteLengthOf(this.#dtype)))
  }

  writeBuffers(slot: number, buffers: readonly PageBuffer[]): Promise<void> {
    return this.#putBuffers(slot, this.#dtype, buffers)
  }

  accumulateBuffers(slot: number, buffers: readonly PageBuffer[]): Promise<void> {
    return this.#putBuffers(slot, undefined, buffers)
  }

  destroy(): void {
    this.#trim?.destroy()
    this.#upload?.destroy()
  }

  async #putBuffers(slot: number, dtype: number | undefined, buffers: readonly PageBuffer[]): Promise<void> {
    await this.#put(slot, dtype, 0, this.#plan.groupCount, fromBuffers(buffers, byteLengthOf(this.#dtype)))
    const trim = this.#trim
    if (trim) await this.#gpu.scoped(() => this.#gpu.submit((encoder) => trim.encode(encoder, slot)))
  }

  /** Copies groups of a vector into a slot, part by part, each in one submission. */
  async #put(slot: number, dtype: number | undefined, begin: number, end: number, source: Source): Promise<void> {
    for (const part of this.#plan.parts(slot, dtype, begin, end)) {
      await this.#putPart(part, byteLengthOf(dtype ?? this.#dtype), source)
      part.free()
    }
  }

  async #putPart(part: PartGlue, byteLength: number, source: Source): Promise<void> {
    const planned = part.dispatch()
    const { slab } = this.#windows[part.window]!
    const [begin, end] = [part.begin, part.end]
    const copyTo = (encoder: WebEncoder, target: PageBuffer, first: number): void => {
      for (const stretch of stretchesOf(this.#plan, begin, end))
        source(stretch, encoder, target, byteOffset(first, stretch.deviceElement, byteLength))
    }
    if (!planned) {
      const first = part.firstGroup
      return this.#gpu.scoped(() => this.#gpu.submit((encoder) => copyTo(encoder, slab!, first)))
    }
    const [dispatch] = await Dispatch.makeAll(this.#gpu, [planned])
    await this.#gpu.scoped(() => {
      const upload = (this.#upload ??= this.#gpu.storage(this.#plan.uploadBytes))
      dispatch!.bind([
        [BINDING.slab, upload],
        [BINDING.out, slab!],
      ])
      // The kernel also adds the gaps between segments, which must be zero.
      this.#gpu.submit((encoder) => encoder.clearBuffer(upload))
      this.#gpu.submit((encoder) => {
        copyTo(encoder, upload, 0)
        dispatch!.encode(encoder)
      })
    })
    dispatch!.destroy()
  }

  /** Copies from the host's memory, at once: the caller may change it afterwards. */
  #fromHost(vector: Uint8Array, byteLength: number): Source {
    const { queue } = this.#gpu.device
    return ({ firstElement, elementCount }, _encoder, target, at) => {
      const [from, bytes] = [firstElement * byteLength, elementCount * byteLength]
      const whole = bytes - (bytes % 4)
      if (whole > 0) queue.writeBuffer(target, at, vector, from, whole)
      if (whole === bytes) return
      // The last of an odd number of halves, and behind it the zeros that fill the gap.
      const last = new Uint8Array(4)
      last.set(vector.subarray(from + whole, from + bytes))
      queue.writeBuffer(target, at + whole, last)
    }
  }
}

/** Copies from buffers on the device, one a segment. */
function fromBuffers(buffers: readonly PageBuffer[], byteLength: number): Source {
  return ({ segment, segmentElement, elementCount }, encoder, target, at) =>
    encoder.copyBufferToBuffer(
      buffers[segment]!,
      segmentElement * byteLength,
      target,
      at,
      wordBytes(elementCount, byteLength),
    )
}
