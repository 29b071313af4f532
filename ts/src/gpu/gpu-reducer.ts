/**
 * Slots for vectors that stay on a device, and their reduction there.
 *
 * Calls on one reducer are done one after the other, in the order in which they were made; none blocks the event loop. Vectors
 * are copied on this thread, a few milliseconds at a time, since their memory may be transferred away at any moment.
 */
import { OP_CODES } from '../binding/binding.ts'
import { isDetached } from '../binding/typed-array.ts'
import { AdasumError, inspect } from '../errors.ts'
import { bytesOf, checkArray, checkOptions, reducibleDtype, transferredAway } from '../tensor/check.ts'
import { type Dtype, dtypeOf, halfDtype } from '../tensor/dtype.ts'
import { type Layout, layoutOfArray } from '../tensor/layout.ts'
import { nextTurn } from '../turn.ts'
import type { OnNonFinite, OptionNames, ReduceOp } from '../types.ts'
import { type GpuDevice, forgetSharedDevice, sharedDevice } from './device.ts'
import { POLICY_CODES, type ReducerHandle, type ReductionRecord } from './gpu-binding.ts'
import { typed } from './load.ts'

/** Arrays that slots take: f32, or the bits of a half format. */
export type GpuArray = Float32Array | Uint16Array

export interface GpuReducerOptions {
  /** How many vectors: 1 to 16. */
  slots: number
  /** Element counts of the segments (layers); one number for a single segment. */
  segments: number | ArrayLike<number>
  /** Default `f32`. */
  dtype?: 'f32' | 'f16' | 'bf16'
  /** Default: one that all reducers share that name none. */
  device?: GpuDevice
}

const OPTIONS: OptionNames<GpuReducerOptions> = { slots: true, segments: true, dtype: true, device: true }

export interface GpuReduceOptions {
  /** Default `throw` for adasum, `propagate` for sum and average. */
  onNonFinite?: OnNonFinite
  /** `f32`: what half formats are combined to is stored as f32. Default: the slots' dtype. */
  result?: 'f32'
}

const REDUCE_OPTIONS: OptionNames<GpuReduceOptions> = { onNonFinite: true, result: true }

/** How long copies may keep the event loop from turning. */
const TURN_MS = 5
/** Groups that are copied at once: 2 MiB of f32. */
const PART_GROUPS = 1 << 17

export class GpuReducer {
  readonly #handle: ReducerHandle
  readonly #f32 = dtypeOf(new Float32Array(0))!
  #last: Promise<unknown> = Promise.resolve()
  #result: Dtype | undefined
  #isClosed = false
  readonly slotCount: number
  readonly dtype: Dtype
  readonly layout: Layout

  private constructor(handle: ReducerHandle, slotCount: number, layout: Layout) {
    this.#handle = handle
    this.slotCount = slotCount
    this.dtype = layout.dtype
    this.layout = layout
  }

  /**
   * Room for `slots` vectors on a device, all zero.
   *
   * @throws AdasumError ERR_UNSUPPORTED without the package adasum-gpu or an adapter, or for more than 16 slots;
   *   ERR_ARGUMENT; ERR_OUT_OF_MEMORY; ERR_DEVICE_LOST
   */
  static async create(options: GpuReducerOptions): Promise<GpuReducer> {
    checkOptions(options, OPTIONS)
    const { slots, segments, dtype: name = 'f32', device } = options
    const dtype = name === 'f32' ? dtypeOf(new Float32Array(0)) : halfDtype(name)
    if (!dtype) throw new AdasumError('ERR_ARGUMENT', `dtype is ${inspect(name)}; it must be one of f32, f16, bf16.`)
    if (!Number.isInteger(slots) || slots < 1 || slots > 0xffff)
      throw new AdasumError('ERR_ARGUMENT', `slots is ${inspect(slots)}; it must be a whole number from 1 to 16.`)
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
   * @throws AdasumError ERR_ARGUMENT for a slot that is not there, or an array of another dtype or length
   */
  write(slot: number, array: GpuArray): Promise<void> {
    return this.#inTurn(() => {
      const dtype = this.#check(slot, array, true)
      return this.#copy(array, (bytes, begin, end) => this.#handle.writeGroups(slot, dtype.code, bytes, begin, end))
    })
  }

  /** Adds an array of the slots' dtype to a slot, element by element, rounding once. Throws as `write`. */
  accumulate(slot: number, array: GpuArray): Promise<void> {
    return this.#inTurn(() => {
      this.#check(slot, array, false)
      return this.#copy(array, (bytes, begin, end) => this.#handle.accumulateGroups(slot, bytes, begin, end))
    })
  }

  /**
   * Combines all slots; the result stays on the device until it is read.
   *
   * @throws AdasumError ERR_NON_FINITE if a slot is not finite and the policy is to throw; ERR_DEVICE_LOST; ERR_OUT_OF_MEMORY
   */
  reduce(op: ReduceOp, options: GpuReduceOptions = {}): Promise<ReductionRecord> {
    return this.#inTurn(async () => {
      checkOptions(options, REDUCE_OPTIONS)
      const { onNonFinite = op === 'adasum' ? 'throw' : 'propagate', result } = options
      if (!Object.hasOwn(OP_CODES, op))
        throw new AdasumError(
          'ERR_ARGUMENT',
          `op is ${inspect(op)}; it must be one of ${Object.keys(OP_CODES).join(', ')}.`,
        )
      if (!Object.hasOwn(POLICY_CODES, onNonFinite))
        throw new AdasumError(
          'ERR_ARGUMENT',
          `onNonFinite is ${inspect(onNonFinite)}; it must be throw, skip or propagate.`,
        )
      if (result !== undefined && result !== 'f32')
        throw new AdasumError('ERR_ARGUMENT', `result is ${inspect(result)}; it must be f32, or absent.`)
      const dtype = result === 'f32' ? this.#f32 : this.dtype
      const record = await this.#handle.reduce(OP_CODES[op], POLICY_CODES[onNonFinite], dtype.code)
      this.#result = dtype
      return record
    })
  }

  /**
   * Reads the result of the last reduction.
   *
   * @returns `out`
   * @throws AdasumError ERR_ARGUMENT before the first reduction, or for an array of another dtype or length; ERR_DEVICE_LOST
   */
  read<A extends GpuArray>(out: A): Promise<A> {
    return this.#inTurn(async () => {
      if (!this.#result) throw new AdasumError('ERR_ARGUMENT', 'there is no result: 0 reductions so far. Reduce first.')
      this.#checkLike(out, 'out', [this.#result])
      await this.#handle.fetch()
      await this.#copy(out, (bytes, begin, end) => this.#handle.copyResult(begin, end, bytes))
      return out
    })
  }

  /** Gives all memory back, once the calls before have been done. */
  close(): Promise<void> {
    this.#isClosed = true
    return this.#inTurn(() => this.#handle.release())
  }

  /** Whether `close` was called: later calls fail. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #inTurn<T>(call: () => T | Promise<T>): Promise<T> {
    const done = this.#last.then(() => typedOn(call))
    this.#last = done.catch(() => undefined)
    return done
  }

  /** The dtype in which `array` is given, once it is found to fit. */
  #check(slot: unknown, array: GpuArray, mayBeWider: boolean): Dtype {
    if (!Number.isInteger(slot) || (slot as number) < 0 || (slot as number) >= this.slotCount)
      throw new AdasumError('ERR_ARGUMENT', `slot is ${inspect(slot)}; there are ${this.slotCount}, from 0 on.`)
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
    if (array.length !== this.layout.elementCount)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what} has ${array.length} elements, a slot has ${this.layout.elementCount}. Use equal lengths.`,
      )
    return dtype
  }

  async #copy(array: GpuArray, part: (bytes: Uint8Array, begin: number, end: number) => void): Promise<void> {
    const groupCount = this.#handle.groupCount()
    let turnEnds = performance.now() + TURN_MS
    for (let begin = 0; begin < groupCount; begin += PART_GROUPS) {
      if (performance.now() > turnEnds) {
        await nextTurn()
        turnEnds = performance.now() + TURN_MS
      }
      if (isDetached(array)) throw transferredAway()
      part(bytesOf(array), begin, Math.min(groupCount, begin + PART_GROUPS))
    }
  }
}

/** The next reducer that names no device does not get one that is lost. */
async function typedOn<T>(call: () => T | Promise<T>): Promise<T> {
  try {
    return await typed(call)
  } catch (error) {
    if (error instanceof AdasumError && error.code === 'ERR_DEVICE_LOST') forgetSharedDevice()
    throw error
  }
}
