import { AdasumError } from '../errors.ts'
import { checkOptions, kindOf, wholeNumber } from '../tensor/check.ts'
import type { OptionNames } from '../types.ts'
import type { DeviceHandle, GpuAdapter } from './gpu-binding.ts'
import { loadGpuBinding } from '#gpu-binding'
import { typed } from './typed.ts'
import type { PageDevice } from './web/webgpu.ts'

/** Options of `openGpu`. */
export interface GpuDeviceOptions {
  /** Index of an adapter. Default: the one that `adapters` marks, or ADASUM_GPU_ADAPTER names by a part of its name. */
  adapter?: number
  /** Bytes on the device that the vectors of one reducer may take. Default: no bound but the device's own. */
  memoryLimitBytes?: number
}

const OPTIONS: OptionNames<GpuDeviceOptions> = { adapter: true, memoryLimitBytes: true }

/** Options for a device that the page has opened. */
export type PageDeviceOptions = Omit<GpuDeviceOptions, 'adapter'>

const PAGE_OPTIONS: OptionNames<PageDeviceOptions> = { memoryLimitBytes: true }

/**
 * All adapters of this machine, software renderers among them; in a browser the one that it gives.
 *
 * @throws AdasumError ERR_UNSUPPORTED if the package adasum-gpu is not installed, or a browser has no WebGPU
 */
export async function adapters(): Promise<GpuAdapter[]> {
  const binding = await loadGpuBinding()
  return typed(() => binding.adapters())
}

/** An open device. Any number of reducers may share one. */
export class GpuDevice {
  readonly #handle: DeviceHandle
  /** The adapter that it is of. */
  readonly adapter: GpuAdapter
  /** How it keeps exact sums; see docs/gpu.md. */
  readonly arithmetic: string

  /**
   * Wraps a handle of the binding.
   *
   * @internal
   */
  constructor(handle: DeviceHandle) {
    this.#handle = handle
    this.adapter = handle.adapter()
    this.arithmetic = handle.arithmetic()
  }

  /**
   * Opens an adapter; in a browser the one that it gives.
   *
   * @throws AdasumError ERR_UNSUPPORTED without the package adasum-gpu or WebGPU, an adapter, or one that keeps exact
   *   sums; ERR_ARGUMENT for an adapter that does not exist
   */
  static async open(options: GpuDeviceOptions = {}): Promise<GpuDevice> {
    checkOptions(options, OPTIONS)
    const { adapter, memoryLimitBytes } = options
    checkWhole('adapter', adapter)
    checkWhole('memoryLimitBytes', memoryLimitBytes)
    const binding = await loadGpuBinding()
    return new GpuDevice(await typed(() => binding.openDevice(adapter, memoryLimitBytes)))
  }

  /**
   * Takes a GPUDevice that the page has opened, or a library such as tfjs: its buffers are used in place. It stays
   * theirs: `destroy` only ends its use here.
   *
   * @throws AdasumError ERR_ARGUMENT for what is no GPUDevice; ERR_UNSUPPORTED outside of browsers, and for a device
   *   that does not keep exact sums; ERR_DEVICE_LOST
   */
  static async from(device: PageDevice, options: PageDeviceOptions = {}): Promise<GpuDevice> {
    checkOptions(options, PAGE_OPTIONS)
    checkWhole('memoryLimitBytes', options.memoryLimitBytes)
    if (typeof (device as { createComputePipelineAsync?: unknown } | null)?.createComputePipelineAsync !== 'function')
      throw new AdasumError('ERR_ARGUMENT', `the device is ${kindOf(device)}; it must be a GPUDevice.`)
    const binding = await loadGpuBinding()
    const { fromDevice } = binding
    if (!fromDevice)
      throw new AdasumError('ERR_UNSUPPORTED', 'a GPUDevice can be taken over in a browser only. Use GpuDevice.open().')
    return new GpuDevice(await typed(() => fromDevice(device, { memoryBytes: options.memoryLimitBytes })))
  }

  /**
   * The handle, for reducers.
   *
   * @internal
   */
  get handle(): DeviceHandle {
    return this.#handle
  }

  /** Ends the device: every later call on its reducers fails with ERR_DEVICE_LOST. */
  destroy(): void {
    this.#handle.destroy()
  }
}

function checkWhole(name: string, value: unknown): void {
  if (value !== undefined) wholeNumber(value, name)
}

let shared: Promise<GpuDevice> | undefined

/** The device of all callers that name none. It is opened once; after `forgetSharedDevice` it is opened again. */
export function sharedDevice(): Promise<GpuDevice> {
  shared ??= GpuDevice.open().catch((error: unknown) => {
    shared = undefined
    throw error
  })
  return shared
}

/** Makes the next call of `sharedDevice` open the device again: the one before is lost. */
export function forgetSharedDevice(): void {
  shared = undefined
}
