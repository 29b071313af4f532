/** The GPU of a browser's page or worker: what `adasum/gpu` finds there in place of the package adasum-gpu. */
import { AdasumError, reasonOf } from '../../errors.ts'
import { nextTurn } from '#platform'
import {
  type BufferReducerHandle,
  type DeviceHandle,
  GPU_ABI,
  type GpuAdapter,
  type GpuBinding,
} from '../gpu-binding.ts'
import { WebDevice, type WebLimitOptions } from './device.ts'
import { BINDING, Sums } from './dispatch.ts'
import { type TrialGlue, loadGpuGlue } from './glue.ts'
import { WebReducer } from './reducer.ts'
import {
  SUBGROUPS,
  type WebAdapter,
  type WebAdapterInfo,
  type WebBuffer,
  type WebGpuDevice,
  type WebLimits,
  webGpuEntry,
} from './webgpu.ts'

const BINDING_OF_BROWSERS: GpuBinding = {
  abi: () => GPU_ABI,
  adapters: async () => {
    const adapter = await requestAdapter()
    return adapter ? [recordOf(adapter.info, adapter.limits)] : []
  },
  openDevice: async (index, memoryBytes) => openOwn(index, { memoryBytes }),
  fromDevice: async (device, options) => open(device as WebGpuDevice, options, undefined, false),
}

/** The binding; the same object on every call. */
export async function loadGpuBinding(): Promise<GpuBinding> {
  return BINDING_OF_BROWSERS
}

/** @throws AdasumError ERR_UNSUPPORTED where there is no WebGPU */
async function requestAdapter(): Promise<WebAdapter | null> {
  const entry = webGpuEntry()
  if (!entry)
    throw new AdasumError(
      'ERR_UNSUPPORTED',
      "there is no WebGPU here: navigator.gpu is missing. Use a browser that has it and a page served by https, or backend 'cpu'.",
    )
  return entry.requestAdapter({ powerPreference: 'high-performance' })
}

async function openOwn(index: number | undefined, options: WebLimitOptions): Promise<DeviceHandle> {
  if (index !== undefined && index !== 0)
    throw new AdasumError('ERR_ARGUMENT', `there is no adapter ${index}; a browser gives one, of index 0.`)
  const adapter = await requestAdapter()
  if (!adapter)
    throw new AdasumError(
      'ERR_UNSUPPORTED',
      "the browser gives no adapter: 0 found. Look at its settings for the GPU, or use backend 'cpu'.",
    )
  return open(await requestDevice(adapter), options, adapter.info, true)
}

/** Requests a device with all that the adapter allows. */
async function requestDevice(adapter: WebAdapter): Promise<WebGpuDevice> {
  const { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupsPerDimension } = adapter.limits
  const requiredLimits = { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupsPerDimension }
  try {
    const requiredFeatures = adapter.features?.has(SUBGROUPS) ? [SUBGROUPS] : []
    return await adapter.requestDevice({ label: 'adasum', requiredLimits, requiredFeatures })
  } catch (cause) {
    const words = reasonOf(cause)
    throw new AdasumError(
      'ERR_UNSUPPORTED',
      `the browser's adapter cannot be opened: ${words}. Try again, or use backend 'cpu'.`,
      { cause },
    )
  }
}

/** Finds the arithmetic by which a device keeps sums exact, and makes its handle. */
async function open(
  device: WebGpuDevice,
  options: WebLimitOptions,
  info: WebAdapterInfo | undefined,
  isOurs: boolean,
): Promise<DeviceHandle> {
  const glue = await loadGpuGlue()
  const gpu = new WebDevice(device, glue, options)
  const adapter = recordOf(info ?? device.adapterInfo, device.limits)
  // Lets the promise of a device that was lost before settle first.
  await nextTurn()
  const arithmetic = await chooseArithmetic(gpu, adapter.name)
  const make = (
    dtype: number,
    slotCount: number,
    segmentElementCounts: Float64Array,
    ownBytes: number,
  ): Promise<WebReducer> => WebReducer.make(gpu, { dtype, slotCount, segmentElementCounts, ownBytes })
  return {
    adapter: () => adapter,
    arithmetic: () => arithmetic,
    destroy: () => {
      gpu.lose('the device was destroyed. Open it again.')
      // The page's own device lives on.
      if (isOurs) device.destroy()
    },
    makeReducer: (dtype, slots, counts) => make(dtype, slots, counts, Infinity),
    makeBufferReducer: (dtype, slots, counts, ownBytes): Promise<BufferReducerHandle> =>
      make(dtype, slots, counts, ownBytes),
  }
}

/** Sets the device's arithmetic. @returns its name @throws AdasumError ERR_UNSUPPORTED if none keeps sums exact */
async function chooseArithmetic(gpu: WebDevice, name: string): Promise<string> {
  const trial = new gpu.glue.Trial()
  const slab = await gpu.scoped(() => gpu.filled(trial.slab()))
  const names = gpu.glue.arithmetics()
  try {
    for (let plain = 0; plain < names.length; plain += 2) {
      if (!(await keepsExact(gpu, trial, slab, plain))) continue
      // Subgroups are a matter of speed: a device that fails at them, in whatever way, goes on without.
      const bySubgroups = plain + 1
      const isFaster = gpu.hasSubgroups && (await keepsExact(gpu, trial, slab, bySubgroups).catch(() => false))
      gpu.arithmetic = isFaster ? bySubgroups : plain
      return names[gpu.arithmetic]!
    }
    trial.refuse(name)
    return ''
  } finally {
    slab.destroy()
    trial.free()
  }
}

/** Whether sums are exact in this arithmetic, which the device keeps afterwards. */
async function keepsExact(gpu: WebDevice, trial: TrialGlue, slab: WebBuffer, arithmetic: number): Promise<boolean> {
  gpu.arithmetic = arithmetic
  const sums = await Sums.make(gpu, trial.dispatches())
  try {
    await gpu.scoped(() => {
      sums.bind(() => [[BINDING.slab, slab]])
      gpu.submit((encoder) => sums.encode(encoder))
    })
    let isPassed = true
    await sums.read((index, bytes) => {
      isPassed = trial.isPassed(index, bytes) && isPassed
    })
    return isPassed
  } finally {
    sums.destroy()
  }
}

function recordOf(info: WebAdapterInfo | undefined, limits: WebLimits): GpuAdapter {
  const names = [info?.vendor, info?.architecture, info?.device, info?.description]
  const name = names.filter((part) => part !== undefined && part !== '').join(' ')
  return {
    index: 0,
    name: name === '' ? 'unknown' : name,
    backend: 'webgpu',
    kind: info?.isFallbackAdapter === true ? 'cpu' : 'other',
    driver: '',
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
    maxWorkgroups: limits.maxComputeWorkgroupsPerDimension,
    isDefault: true,
  }
}
