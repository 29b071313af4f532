/**
 * The border to the implementations that reach GPUs: the package adasum-gpu, which is optional and loaded on demand, or
 * WebGPU in a browser (`web/`). Codes for dtypes and operators are those of `binding/binding.ts`.
 *
 * Functions that may wait for a device return a promise, and work on the thread pool. Functions that copy read or write
 * the caller's memory before they return, on the main thread; so they take a whole vector, and copy a few groups of it
 * at a time. Errors carry codes of `errors.ts`.
 */
import type { PageBuffer, PageDevice } from './web/webgpu.ts'

/** Version of this contract; an addon of another one is refused. */
export const GPU_ABI = 1

/** Codes of the policies for inputs that are not finite. */
export const POLICY_CODES = { throw: 0, skip: 1, propagate: 2 } as const

/** An adapter, and its limits. */
export interface GpuAdapter {
  /** Its index in the list, by which a caller can name it. */
  readonly index: number
  /** The name that its driver gives it. */
  readonly name: string
  /** The interface through which it is reached: `vulkan`, `metal`, `dx12`, `webgpu`. */
  readonly backend: string
  /** `discrete`, `integrated`, `virtual`, `cpu` (a software renderer) or `other`. */
  readonly kind: string
  /** Name and version of the driver, as far as the driver reports them. */
  readonly driver: string
  /** The longest buffer that it allows, in bytes. */
  readonly maxBufferBytes: number
  /** Longer vectors are cut into several buffers. */
  readonly maxBindingBytes: number
  /** Most workgroups of a dispatch. */
  readonly maxWorkgroups: number
  /** Whether it is used unless another is named. */
  readonly isDefault: boolean
}

export interface GpuBinding {
  /** GPU_ABI of the sources that it was built from. */
  readonly abi: () => number
  readonly adapters: () => Promise<GpuAdapter[]>
  /** Opens an adapter, by its index or else the default one; `memoryBytes` bounds what a reducer's vectors may take. */
  readonly openDevice: (adapter: number | undefined, memoryBytes: number | undefined) => Promise<DeviceHandle>
  /** Takes a device that the page has opened; absent where there are no pages. */
  readonly fromDevice?: (device: PageDevice, options: DeviceLimits) => Promise<DeviceHandle>
}

/** Limits below those of the device. */
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
   * Makes a reducer for vectors whose segments lie in buffers of the page: segments of at least `ownBytes` are used in
   * place. Absent where there are no such buffers.
   */
  makeBufferReducer?(
    dtype: number,
    slotCount: number,
    segmentElementCounts: Float64Array,
    ownBytes: number,
  ): Promise<BufferReducerHandle>
}

/**
 * The report of a reduction. `coefficients` has one row a segment; both arrays are empty unless the operator was
 * adasum.
 */
export interface ReductionRecord {
  /** |result|^2 / sum |g_i|^2, a segment at a time. */
  readonly orthogonality: Float64Array
  /** The factor of each input, a segment at a time; inputs of a segment lie together. */
  readonly coefficients: Float64Array
  /** Slots with NaN or infinity in them. */
  readonly nonFinite: number[]
}

/** A reducer takes one call at a time: synchronous calls throw ERR_NOT_READY while another one is in progress. */
export interface ReducerHandle {
  /** Number of groups of four elements, over all segments. `begin` and `end` below count groups. */
  groupCount(): number
  writeGroups(slot: number, dtype: number, vector: Uint8Array, begin: number, end: number): void | Promise<void>
  accumulateGroups(slot: number, vector: Uint8Array, begin: number, end: number): void | Promise<void>
  reduce(op: number, policy: number, resultDtype: number): Promise<ReductionRecord>
  /** Copies the result to the host, where `copyResult` finds it. */
  fetch(): Promise<void>
  /** Copies groups of the fetched result to `out`, which is a whole vector. */
  copyResult(begin: number, end: number, out: Uint8Array): void
  /** Copies a vector whose segments each lie in a buffer into a slot; absent where there are no buffers of the page. */
  writeBuffers?(slot: number, buffers: readonly PageBuffer[]): Promise<void>
  accumulateBuffers?(slot: number, buffers: readonly PageBuffer[]): Promise<void>
  copyResultTo?(out: readonly PageBuffer[]): Promise<void>
  /** Frees all memory, on the device too. */
  release(): Promise<void>
}

/** A reducer of vectors in buffers of the page; it takes one call at a time. */
export interface BufferReducerHandle {
  /** `inputs` is indexed by input and segment, `out` by segment; no buffer is in both. */
  reduceBuffers(
    op: number,
    policy: number,
    resultDtype: number,
    inputs: readonly (readonly PageBuffer[])[],
    out: readonly PageBuffer[],
  ): Promise<ReductionRecord>
  release(): Promise<void>
}
