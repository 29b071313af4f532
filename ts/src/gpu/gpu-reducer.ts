/**
 * Slots for vectors that stay on a device, and their reduction there.
 *
 * A reducer does its calls one after the other, in the order in which they were made; none blocks the event loop.
 * Vectors are copied on this thread, a few milliseconds at a time, since their memory may be transferred away at any
 * moment.
 */
import { isDetached, lengthOf } from '../binding/typed-array.ts'
import { AdasumError, inspect } from '../errors.ts'
import { bytesOf, checkArray, checkOptions, reducibleDtype, transferredAway } from '../tensor/check.ts'
import { type Dtype, dtypeOf } from '../tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../tensor/layout.ts'
import { nextTurn } from '#platform'
import type { OptionNames, ReduceOp } from '../types.ts'
import { GPU_REDUCER } from './brand.ts'
import { type GpuDevice, sharedDevice } from './device.ts'
import { type GpuReduceOptions, checkCountOfVectors, checkReduction, dtypeNamed } from './gpu-options.ts'
import type { ReducerHandle, ReductionRecord } from './gpu-binding.ts'
import { bufferOfEach } from './page-buffers.ts'
import { Turns, typedOn } from './turns.ts'
import { USAGE, type PageBuffer } from './web/webgpu.ts'

/** Arrays that slots take: f32, or the bits of a half format. */
export type GpuArray = Float32Array | Uint16Array

/** Options of a GpuReducer. */
export interface GpuReducerOptions {
  /** How many vectors: 1 to 16. */
  slots: number
  /** Element counts of the segments (layers); one number for a single segment. */
  segments: number | ArrayLike<number>
  /** Default `f32`. */
  dtype?: 'f32' | 'f16' | 'bf16'
  /** Default: the device that all reducers share that name none. */
  device?: GpuDevice
}

const OPTIONS: OptionNames<GpuReducerOptions> = { slots: true, segments: true, dtype: true, device: true }

/** How long copies may keep the event loop from turning. */
const TURN_MS = 5
/** Groups that are copied at once: 2 MiB of f32. */
const PART_GROUPS = 1 << 17

/** Combines vectors that it keeps on a device: they are written once, and only results come back. */
export class GpuReducer {
  readonly #handle: ReducerHandle
  readonly #f32 = dtypeOf(new Float32Array(0))!
  readonly #turns = new Turns()
  #result: Dtype | undefined
  #isClosed = false

  /** How many vectors it holds on the device. */
  readonly slotCount: number
  /** The dtype of their elements. */
  readonly dtype: Dtype
  /** The segments of a vector. */
  readonly layout: Layout

  private constructor(handle: ReducerHandle, slotCount: number, layout: Layout) {
    Object.defineProperty(this, GPU_REDUCER, { value: true })
    this.#handle = handle
    this.slotCount = slotCount
    this.dtype = layout.dtype
    this.layout = layout
  }

  /**
   * Allocates `slots` vectors on a device, all zero.
   *
   * @throws AdasumError ERR_UNSUPPORTED without the package adasum-gpu or an adapter, or for more than 16 slots;
   *   ERR_ARGUMENT; ERR_OUT_OF_MEMORY; ERR_DEVICE_LOST
   */
  static async create(options: GpuReducerOptions): Promise<GpuReducer> {
    checkOptions(options, OPTIONS)
    const { slots, segments, dtype: name = 'f32', device } = options
    const dtype = dtypeNamed(name)
    checkCountOfVectors('slots', slots)
    const counts = typeof segments === 'number' ? [segments] : segments
    const elementCount = Array.from(counts).reduce((sum, count) => sum + count, 0)
    return GpuReducer.of(device ?? (await sharedDevice()), slots, layoutOfArray(dtype, elementCount, counts))
  }

  /** The same for a layout that has been checked. */
  static async of(device: GpuDevice, slots: number, layout: Layout): Promise<GpuReducer> {
    const { dtype, segmentElementCounts } = layout
    const handle = await typedOn(() => device.handle.makeReducer(dtype.code, slots, segmentElementCounts))
    return new GpuReducer(handle, slots, layout)
  }

  /**
   * Overwrites a slot. f32 vectors are rounded to the slots' dtype.
   *
   * @throws AdasumError ERR_ARGUMENT for a slot that does not exist, or an array of another dtype or length
   */
  write(slot: number, array: GpuArray): Promise<void> {
    return this.#turns.take(() => {
      const dtype = this.#check(slot, array, true)
      return this.#copy(array, (bytes, begin, end) => this.#handle.writeGroups(slot, dtype.code, bytes, begin, end))
    })
  }

  /** Adds an array of the slots' dtype to a slot, element by element, rounding once. Throws as `write`. */
  accumulate(slot: number, array: GpuArray): Promise<void> {
    return this.#turns.take(() => {
      this.#check(slot, array, false)
      return this.#copy(array, (bytes, begin, end) => this.#handle.accumulateGroups(slot, bytes, begin, end))
    })
  }

  /**
   * Copies a vector that lies on the device into a slot. Each segment is a GPUBuffer of the slots' dtype, on the
   * reducer's own device.
   *
   * @throws AdasumError ERR_ARGUMENT for a slot that does not exist, or buffers that are too short or may not be copied
   *   from; ERR_UNSUPPORTED outside of browsers
   */
  writeBuffers(slot: number, buffers: readonly PageBuffer[]): Promise<void> {
    return this.#turns.take(() => {
      const { handle, list } = this.#checkBuffers(slot, buffers)
      return handle.writeBuffers(slot, list)
    })
  }

  /** Adds such a vector to a slot, element by element, rounding once. Throws as `writeBuffers`. */
  accumulateBuffers(slot: number, buffers: readonly PageBuffer[]): Promise<void> {
    return this.#turns.take(() => {
      const { handle, list } = this.#checkBuffers(slot, buffers)
      return handle.accumulateBuffers(slot, list)
    })
  }

  /**
   * Combines all slots; the result stays on the device until it is read.
   *
   * @throws AdasumError ERR_NON_FINITE if a slot is not finite and the policy is to throw; ERR_DEVICE_LOST;
   *   ERR_OUT_OF_MEMORY
   */
  reduce(op: ReduceOp, options: GpuReduceOptions = {}): Promise<ReductionRecord> {
    return this.#turns.take(async () => {
      const { opCode, policyCode, dtype } = checkReduction(op, options, this.dtype)
      const record = await this.#handle.reduce(opCode, policyCode, dtype.code)
      this.#result = dtype
      return record
    })
  }

  /**
   * Reads the result of the last reduction.
   *
   * @returns `out`
   * @throws AdasumError ERR_ARGUMENT before the first reduction, or for an array of another dtype or length;
   *   ERR_DEVICE_LOST
   */
  read<A extends GpuArray>(out: A): Promise<A> {
    return this.#turns.take(async () => {
      if (!this.#result) throw new AdasumError('ERR_ARGUMENT', 'there is no result: 0 reductions so far. Reduce first.')
      this.#checkLike(out, 'out', [this.#result])
      await this.#handle.fetch()
      await this.#copy(out, (bytes, begin, end) => this.#handle.copyResult(begin, end, bytes))
      return out
    })
  }

  /**
   * Copies the result of the last reduction to GPUBuffers, one a segment, without bringing it to the host.
   *
   * @throws AdasumError ERR_ARGUMENT before the first reduction, or for buffers that are too short or may not be copied
   *   to; ERR_UNSUPPORTED outside of browsers; ERR_DEVICE_LOST
   */
  readInto(out: readonly PageBuffer[]): Promise<void> {
    return this.#turns.take(() => {
      if (!this.#result) throw new AdasumError('ERR_ARGUMENT', 'there is no result: 0 reductions so far. Reduce first.')
      const list = bufferOfEach(out, this.layout, this.#result, 'out', { copyTarget: USAGE.copyTarget })
      return withBuffers(this.#handle).copyResultTo(list)
    })
  }

  /** Frees all memory, after the calls that were made before. */
  close(): Promise<void> {
    this.#isClosed = true
    return this.#turns.take(() => this.#handle.release())
  }

  /** Whether `close` was called: later calls fail. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Closes it, at the end of an `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #checkBuffers(slot: unknown, buffers: readonly PageBuffer[]): { handle: HandleWithBuffers; list: PageBuffer[] } {
    this.#checkSlot(slot)
    const list = bufferOfEach(buffers, this.layout, this.dtype, 'buffers', { copySource: USAGE.copySource })
    return { handle: withBuffers(this.#handle), list }
  }

  #checkSlot(slot: unknown): void {
    if (!Number.isInteger(slot) || (slot as number) < 0 || (slot as number) >= this.slotCount)
      throw new AdasumError('ERR_ARGUMENT', `slot is ${inspect(slot)}; there are ${this.slotCount}, from 0 on.`)
  }

  /** Checks that `array` fits a slot. @returns the dtype of the array */
  #check(slot: unknown, array: GpuArray, mayBeWider: boolean): Dtype {
    this.#checkSlot(slot)
    return this.#checkLike(array, 'the array', mayBeWider ? [this.dtype, this.#f32] : [this.dtype])
  }

  #checkLike(array: GpuArray, what: string, dtypes: readonly Dtype[]): Dtype {
    const found = checkArray(array, what)
    const dtype = dtypes.find((dtype) => found === (dtype.name === 'f32' ? dtype : dtypeOf(new Uint16Array(0))))
    if (!dtype) {
      const names = dtypes.map(({ name }) => name).join(' or ')
      throw new AdasumError('ERR_ARGUMENT', `${what} is ${found.name}, ${names} is needed. Use one dtype.`)
    }
    if (dtype.name !== 'f32') reducibleDtype(found, dtype.name, what)
    if (lengthOf(array) !== this.layout.elementCount)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what} has ${lengthOf(array)} elements, a slot has ${this.layout.elementCount}. Use equal lengths.`,
      )
    return dtype
  }

  async #copy(
    array: GpuArray,
    part: (bytes: Uint8Array, begin: number, end: number) => void | Promise<void>,
  ): Promise<void> {
    const groupCount = this.#handle.groupCount()
    let turnEnds = performance.now() + TURN_MS
    for (let begin = 0; begin < groupCount; begin += PART_GROUPS) {
      if (performance.now() > turnEnds) {
        await nextTurn()
        turnEnds = performance.now() + TURN_MS
      }
      if (isDetached(array)) throw transferredAway()
      await part(bytesOf(array), begin, Math.min(groupCount, begin + PART_GROUPS))
    }
  }
}

type HandleWithBuffers = Required<ReducerHandle>

function withBuffers(handle: ReducerHandle): HandleWithBuffers {
  if (handle.writeBuffers) return handle as HandleWithBuffers
  throw new AdasumError('ERR_UNSUPPORTED', 'there are no GPUBuffers outside of browsers. Use write() and read().')
}
