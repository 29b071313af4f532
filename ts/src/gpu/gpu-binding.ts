/**
 * The border to what reaches GPUs: the package adasum-gpu, which is optional and loaded on demand, or WebGPU in a browser
 * (`web/`). Numbers for dtypes and operators are those of
 * `binding/binding.ts`.
 *
 * What may wait for a device returns a promise, and is done on the thread pool. What copies touches the caller's memory before it
 * returns, on the main thread alone, so a vector is given whole, and copied a few groups at a time. Errors carry codes of
 * `errors.ts`.
 */
import type { PageBuffer, PageDevice } from './web/webgpu.ts'

/** Version of this contract; an addon of another one is refused. */
export const GPU_ABI = 1

/** Codes of what to do with inputs that are not finite. */
export const POLICY_CODES = { throw: 0, skip: 1, propagate: 2 } as const

/** An adapter, and what it allows. */
export interface GpuAdapter {
  /** Its place in the list, by which it can be named. */
  readonly index: number
  readonly name: string
  /** The interface through which it is reached: `vulkan`, `metal`, `dx12`, `webgpu`. */
  readonly backend: string
  /** `discrete`, `integrated`, `virtual`, `cpu` (a software renderer) or `other`. */
  readonly kind: string
  /** Name and version of the driver, as far as it tells. */
  readonly driver: string
  readonly maxBufferBytes: number
  /** Longer vectors are cut into several buffers. */
  readonly maxBindingBytes: number
  /** Workgroups of a dispatch. */
  readonly maxWorkgroups: number
  /** Whether it is the one that is used unless another is named. */
  readonly isDefault: boolean
}

export interface GpuBinding {
  /** GPU_ABI of the sources that it was built from. */
  readonly abi: () => number
  readonly adapters: () => Promise<GpuAdapter[]>
  /** The default adapter unless one is given; `memoryBytes` bounds what a reducer's vectors may take. */
  readonly openDevice: (adapter: number | undefined, memoryBytes: number | undefined) => Promise<DeviceHandle>
  /** A device that somebody else has opened; absent where there can be none. */
  readonly fromDevice?: (device: PageDevice, options: DeviceLimits) => Promise<DeviceHandle>
}

/** Less than the device allows. */
export interface DeviceLimits {
  readonly memoryBytes?: number | undefined
  readonly bindingBytes?: number | undefined
  readonly workgroups?: number | undefined
}

export interface DeviceHandle {
  adapter(): GpuAdapter
  /** How it keeps exact sums; see docs/gpu.md. */
  arithmetic(): string
  /** Every later call on it fails with ERR_DEVICE_LOST. */
  destroy(): void
  makeReducer(dtype: number, slotCount: number, segmentElementCounts: Float64Array): Promise<ReducerHandle>
  /**
   * For vectors whose segments come in buffers of the page: those of at least `ownBytes` are used where they are. Absent where
   * there are no such buffers.
   */
  makeBufferReducer?(
    dtype: number,
    slotCount: number,
    segmentElementCounts: Float64Array,
    ownBytes: number,
  ): Promise<BufferReducerHandle>
}

/** What a reduction has found: `coefficients` has a row a segment; both are empty unless the operator was adasum. */
export interface ReductionRecord {
  readonly orthogonality: Float64Array
  readonly coefficients: Float64Array
  /** Slots that are not finite. */
  readonly nonFinite: number[]
}

/** One call at a time: the synchronous ones throw ERR_NOT_READY while another runs. */
export interface ReducerHandle {
  /** Groups of four elements, over all segments: what the copies are counted in. */
  groupCount(): number
  writeGroups(slot: number, dtype: number, vector: Uint8Array, begin: number, end: number): void | Promise<void>
  accumulateGroups(slot: number, vector: Uint8Array, begin: number, end: number): void | Promise<void>
  reduce(op: number, policy: number, resultDtype: number): Promise<ReductionRecord>
  /** Brings the result to the host. */
  fetch(): Promise<void>
  /** Copies from what was fetched. */
  copyResult(begin: number, end: number, out: Uint8Array): void
  /** The segments of a vector, a buffer each; absent where there are no buffers of the page. */
  writeBuffers?(slot: number, buffers: readonly PageBuffer[]): Promise<void>
  accumulateBuffers?(slot: number, buffers: readonly PageBuffer[]): Promise<void>
  copyResultTo?(out: readonly PageBuffer[]): Promise<void>
  /** Gives all memory back, on the device too. */
  release(): Promise<void>
}

/** One call at a time. */
export interface BufferReducerHandle {
  /** `inputs` by input and segment, `out` by segment; none of them both. */
  reduceBuffers(
    op: number,
    policy: number,
    resultDtype: number,
    inputs: readonly (readonly PageBuffer[])[],
    out: readonly PageBuffer[],
  ): Promise<ReductionRecord>
  release(): Promise<void>
}
