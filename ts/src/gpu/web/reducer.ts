/**
 * Slots on a browser's device, and their reduction. The plan of crates/adasum-gpu says what is done in which order;
 * this file makes the calls of WebGPU. Only partial sums come back to the host, and the result if it is fetched.
 */
import { AdasumError } from '../../errors.ts'
import type { ReducerHandle, ReductionRecord } from '../gpu-binding.ts'
import type { WebDevice } from './device.ts'
import { BINDING, type Bound, Dispatch, Sums } from './dispatch.ts'
import { type PlanGlue, type ReductionGlue, type DispatchGlue, STEPS } from './glue.ts'
import {
  type WebWindow,
  boundInputs,
  byteLengthOf,
  byteOffset,
  groupBytes,
  makeWindows,
  stretchesOf,
  wordBytes,
} from './windows.ts'
import { SlotWriter } from './slots.ts'
import { Trim } from './trim.ts'
import { USAGE, type PageBuffer, type WebBuffer, type WebEncoder } from './webgpu.ts'

/** The slots of a reducer: their number, dtype and segments. */
export interface Shape {
  readonly dtype: number
  readonly slotCount: number
  readonly segmentElementCounts: Float64Array
  /** Segments of at least so many bytes stay in buffers of their own. Infinity: all segments lie in slabs. */
  readonly ownBytes: number
}

/** The buffers of every input's segments; undefined if all lie in slabs. */
type Inputs = readonly (readonly PageBuffer[])[] | undefined

interface Results {
  readonly dtype: number
  /** One a window; undefined if the window's result is written to a buffer of the caller's. */
  readonly buffers: (WebBuffer | undefined)[]
  readonly dispatches: readonly Dispatch[]
}

export class WebReducer implements ReducerHandle {
  readonly #gpu: WebDevice
  readonly #plan: PlanGlue
  readonly #shape: Shape
  readonly #windows: readonly WebWindow[]
  readonly #gram: Sums
  #results: Results | undefined
  readonly #slots: SlotWriter
  #fetched: { readonly dtype: number; readonly windows: readonly Uint8Array[] } | undefined
  #isReleased = false

  private constructor(
    gpu: WebDevice,
    plan: PlanGlue,
    shape: Shape,
    windows: readonly WebWindow[],
    gram: Sums,
    trim: Trim | undefined,
  ) {
    this.#gpu = gpu
    this.#plan = plan
    this.#shape = shape
    this.#windows = windows
    this.#gram = gram
    this.#slots = new SlotWriter(gpu, plan, shape.dtype, windows, trim)
  }

  /** @throws AdasumError ERR_UNSUPPORTED for more slots than a device reduces; ERR_ARGUMENT; ERR_OUT_OF_MEMORY */
  static async make(gpu: WebDevice, shape: Shape): Promise<WebReducer> {
    gpu.check()
    const { dtype, slotCount, segmentElementCounts, ownBytes } = shape
    const plan = new gpu.glue.Plan(dtype, slotCount, segmentElementCounts, gpu.limits, ownBytes)
    const combinations = plan.combinations(dtype)
    const windows = await gpu.scoped(() => makeWindows(gpu, plan, slotCount, combinations))
    for (const combination of combinations) combination.free()
    const gram = await Sums.make(gpu, plan.gram())
    const trim = byteLengthOf(dtype) === 2 ? await Trim.make(gpu, plan, windows, slotCount) : undefined
    const reducer = new WebReducer(gpu, plan, shape, windows, gram, trim)
    if (ownBytes === Infinity) await gpu.scoped(() => reducer.#bind(gram, undefined))
    return reducer
  }

  groupCount(): number {
    this.#check()
    return this.#plan.groupCount
  }

  async writeGroups(slot: number, dtype: number, vector: Uint8Array, begin: number, end: number): Promise<void> {
    this.#check()
    await this.#slots.write(slot, dtype, vector, begin, end)
  }

  async accumulateGroups(slot: number, vector: Uint8Array, begin: number, end: number): Promise<void> {
    this.#check()
    await this.#slots.accumulate(slot, vector, begin, end)
  }

  /** Copies the segments of a vector, each from its buffer, into a slot. */
  async writeBuffers(slot: number, buffers: readonly PageBuffer[]): Promise<void> {
    this.#check()
    await this.#slots.writeBuffers(slot, buffers)
  }

  /** Adds the segments of a vector, each from its buffer, to a slot. */
  async accumulateBuffers(slot: number, buffers: readonly PageBuffer[]): Promise<void> {
    this.#check()
    await this.#slots.accumulateBuffers(slot, buffers)
  }

  async reduce(op: number, policy: number, resultDtype: number): Promise<ReductionRecord> {
    return this.#reduce(op, policy, resultDtype, undefined, undefined)
  }

  /** Reduces vectors whose segments each lie in a buffer, by input and segment, to `out`, a buffer a segment. */
  async reduceBuffers(
    op: number,
    policy: number,
    resultDtype: number,
    inputs: readonly (readonly PageBuffer[])[],
    out: readonly PageBuffer[],
  ): Promise<ReductionRecord> {
    this.#check()
    for (const [slot, buffers] of inputs.entries()) await this.#slots.writeBuffers(slot, buffers)
    await this.#gpu.scoped(() => this.#bind(this.#gram, inputs))
    return this.#reduce(op, policy, resultDtype, inputs, out)
  }

  async fetch(): Promise<void> {
    const { dtype, buffers } = this.#needResults()
    const stagings = await this.#gpu.scoped(() => {
      const stagings = buffers.map((buffer) => this.#gpu.buffer(buffer!.size, USAGE.mapRead | USAGE.copyTarget))
      this.#gpu.submit((encoder) =>
        stagings.forEach((staging, index) => encoder.copyBufferToBuffer(buffers[index]!, 0, staging, 0, staging.size)),
      )
      return stagings
    })
    try {
      const windows = await Promise.all(
        stagings.map((staging) => this.#gpu.readBack(staging, (bytes) => bytes.slice())),
      )
      this.#fetched = { dtype, windows }
    } finally {
      for (const staging of stagings) staging.destroy()
    }
  }

  copyResult(begin: number, end: number, out: Uint8Array): void {
    this.#check()
    if (!this.#fetched)
      throw new AdasumError('ERR_ARGUMENT', 'no result was fetched: 0 bytes are there. Fetch it first.')
    const { dtype, windows } = this.#fetched
    const byteLength = byteLengthOf(dtype)
    for (const [index, window] of this.#windows.entries()) {
      const [first, last] = [Math.max(begin, window.begin), Math.min(end, window.end)]
      if (first >= last) continue
      for (const { firstElement, elementCount, deviceElement } of stretchesOf(this.#plan, first, last)) {
        const from = byteOffset(first - window.begin, deviceElement, byteLength)
        out.set(windows[index]!.subarray(from, from + elementCount * byteLength), firstElement * byteLength)
      }
    }
  }

  /** Copies the result to buffers, one a segment. */
  async copyResultTo(out: readonly PageBuffer[]): Promise<void> {
    const results = this.#needResults()
    await this.#gpu.scoped(() => this.#gpu.submit((encoder) => this.#copyOut(encoder, results, out)))
  }

  async release(): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    for (const { slab, batches } of this.#windows) {
      slab?.destroy()
      for (const { chunks, factors } of batches) {
        chunks?.destroy()
        factors.destroy()
      }
    }
    this.#gram.destroy()
    this.#slots.destroy()
    this.#dropResults()
    this.#fetched = undefined
    this.#plan.free()
  }

  #check(): void {
    if (this.#isReleased) throw new AdasumError('ERR_ARGUMENT', 'the reducer was released. Make another one.')
    this.#gpu.check()
  }

  #needResults(): Results {
    this.#check()
    if (this.#results) return this.#results
    throw new AdasumError('ERR_ARGUMENT', 'there is no result: 0 reductions so far. Reduce first.')
  }

  async #reduce(
    op: number,
    policy: number,
    resultDtype: number,
    inputs: Inputs,
    out: readonly PageBuffer[] | undefined,
  ): Promise<ReductionRecord> {
    this.#check()
    const reduction = new this.#gpu.glue.Reduction(this.#plan, op, policy, resultDtype)
    try {
      for (let step = reduction.step(); step !== STEPS.combine; step = reduction.step())
        await (step === STEPS.gram ? this.#compute(this.#gram, reduction) : this.#computeSegmentSums(reduction, inputs))
      await this.#combine(reduction, resultDtype, inputs, out)
      const { orthogonality, coefficients, nonFinite } = reduction
      return { orthogonality, coefficients, nonFinite: [...nonFinite] }
    } finally {
      reduction.free()
    }
  }

  /** Computes sums on the device, and adds them to the reduction. */
  async #compute(sums: Sums, reduction: ReductionGlue): Promise<void> {
    await this.#gpu.scoped(() => this.#gpu.submit((encoder) => sums.encode(encoder)))
    await sums.read((index, bytes) => reduction.add(index, bytes))
  }

  async #computeSegmentSums(reduction: ReductionGlue, inputs: Inputs): Promise<void> {
    const sums = await Sums.make(this.#gpu, reduction.dispatches())
    try {
      await this.#gpu.scoped(() => this.#bind(sums, inputs))
      await this.#compute(sums, reduction)
    } finally {
      sums.destroy()
    }
  }

  #bind(sums: Sums, inputs: Inputs): void {
    sums.bind((planned) => this.#inputsOf(planned, inputs))
  }

  #inputsOf(planned: DispatchGlue, inputs: Inputs): Bound[] {
    const { dtype, segmentElementCounts } = this.#shape
    return boundInputs(planned, this.#windows[planned.window]!, (slot, segment) => ({
      buffer: inputs![slot]![segment]!,
      byteLength: wordBytes(segmentElementCounts[segment]!, byteLengthOf(dtype)),
    }))
  }

  async #combine(
    reduction: ReductionGlue,
    dtype: number,
    inputs: Inputs,
    out: readonly PageBuffer[] | undefined,
  ): Promise<void> {
    this.#fetched = undefined
    const results = await this.#resultsOf(dtype)
    await this.#gpu.scoped(() => {
      for (const [index, dispatch] of results.dispatches.entries()) {
        const { window, batch } = dispatch.planned
        const { factors } = this.#windows[window]!.batches[batch!]!
        this.#gpu.device.queue.writeBuffer(factors, 0, reduction.factors(index))
        if (inputs) this.#bindCombination(dispatch, results, inputs, out)
      }
      this.#gpu.submit((encoder) => {
        for (const dispatch of results.dispatches) dispatch.encode(encoder)
        if (out) this.#copyOut(encoder, results, out)
      })
    })
  }

  #bindCombination(
    dispatch: Dispatch,
    { dtype, buffers }: Results,
    inputs: Inputs,
    out: readonly PageBuffer[] | undefined,
  ): void {
    const window = this.#windows[dispatch.planned.window]!
    const bound = this.#inputsOf(dispatch.planned, inputs)
    const target = this.#targetOf(dispatch, dtype, buffers, out)
    dispatch.bind([...bound, target, [BINDING.factors, window.batches[dispatch.planned.batch!]!.factors]])
  }

  #targetOf(
    { planned: { window: index } }: Dispatch,
    dtype: number,
    buffers: Results['buffers'],
    out: readonly PageBuffer[] | undefined,
  ): Bound {
    const { ownSegment } = this.#windows[index]!
    if (ownSegment === undefined) return [BINDING.out, buffers[index]!]
    const bytes = wordBytes(this.#shape.segmentElementCounts[ownSegment]!, byteLengthOf(dtype))
    return [BINDING.out, out![ownSegment]!, bytes]
  }

  async #resultsOf(dtype: number): Promise<Results> {
    if (this.#results?.dtype === dtype) return this.#results
    this.#dropResults()
    const dispatches = await Dispatch.makeAll(this.#gpu, this.#plan.combinations(dtype))
    const results = await this.#gpu.scoped(() => {
      const byteLength = byteLengthOf(dtype)
      const buffers = this.#windows.map(({ slab, begin, end }) =>
        slab ? this.#gpu.storage(groupBytes(end - begin, byteLength)) : undefined,
      )
      const results = { dtype, buffers, dispatches }
      if (this.#shape.ownBytes === Infinity)
        for (const dispatch of dispatches) this.#bindCombination(dispatch, results, undefined, undefined)
      return results
    })
    this.#results = results
    return results
  }

  #dropResults(): void {
    for (const buffer of this.#results?.buffers ?? []) buffer?.destroy()
    for (const dispatch of this.#results?.dispatches ?? []) dispatch.destroy()
    this.#results = undefined
  }

  /** Copies the results of all slabs to buffers, one a segment. */
  #copyOut(encoder: WebEncoder, { dtype, buffers }: Results, out: readonly PageBuffer[]): void {
    const byteLength = byteLengthOf(dtype)
    for (const [index, { begin, end, slab }] of this.#windows.entries()) {
      if (!slab) continue
      for (const { segment, segmentElement, elementCount, deviceElement } of stretchesOf(this.#plan, begin, end)) {
        const bytes = wordBytes(elementCount, byteLength)
        const to = segmentElement * byteLength
        encoder.copyBufferToBuffer(buffers[index]!, deviceElement * byteLength, out[segment]!, to, bytes)
      }
    }
  }
}
