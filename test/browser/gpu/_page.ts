/** A page's own WebGPU: devices, buffers, and what they say that nobody asked for. */
import type { PageBuffer } from '../../../ts/src/gpu/index.ts'
import { USAGE, type WebEncoder, type WebGpuDevice, webGpuEntry } from '../../../ts/src/gpu/web/webgpu.ts'
import type { Dtype, Vector } from './_inputs.ts'

export const BUFFER_USAGE = USAGE.storage | USAGE.copySource | USAGE.copyTarget

/** What devices and promises have said that nobody has caught. */
export const complaints: string[] = []

interface Events {
  addEventListener(name: string, listener: (event: { reason?: unknown; error?: { message: string } }) => void): void
}

;(globalThis as unknown as Events).addEventListener('unhandledrejection', ({ reason }) =>
  complaints.push(`unhandled rejection: ${String(reason)}`),
)

/** A device as a page opens one: with the limits that every device has. */
export async function pageDevice(): Promise<WebGpuDevice> {
  const adapter = await webGpuEntry()?.requestAdapter()
  if (!adapter) throw new Error('this browser has no adapter: see scripts/lib/browser.mjs')
  const device = await adapter.requestDevice({ label: 'page', requiredLimits: {}, requiredFeatures: [] })
  const events = device as unknown as Events
  events.addEventListener('uncapturederror', ({ error }) => complaints.push(`uncaptured: ${error?.message}`))
  return device
}

/** A buffer with a vector in it, and behind it what would spoil any sum: NaN in every dtype. */
export function bufferOf(device: WebGpuDevice, vector: Vector, surplusBytes = 8): PageBuffer {
  const size = Math.ceil(vector.byteLength / 4) * 4 + surplusBytes
  const bytes = new Uint8Array(Math.max(size, 4)).fill(0xff)
  bytes.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
  const buffer = device.createBuffer({ size: bytes.length, usage: BUFFER_USAGE })
  device.queue.writeBuffer(buffer, 0, bytes)
  return buffer
}

/** A buffer a segment. */
export function buffersOf(device: WebGpuDevice, vector: Vector, segments: readonly number[]): PageBuffer[] {
  let begin = 0
  return segments.map((count) => {
    const segment = vector.slice(begin, begin + count)
    begin += count
    return bufferOf(device, segment)
  })
}

/** Empty buffers for a result: exactly as long as its segments. */
export function emptyBuffers(device: WebGpuDevice, dtype: Dtype, segments: readonly number[]): PageBuffer[] {
  const byteLength = dtype === 'f32' ? 4 : 2
  return segments.map((count) =>
    device.createBuffer({ size: Math.max(4, Math.ceil((count * byteLength) / 4) * 4), usage: BUFFER_USAGE }),
  )
}

/** What lies in buffers, one a segment. */
export async function readBuffers(
  device: WebGpuDevice,
  dtype: Dtype,
  buffers: readonly PageBuffer[],
  segments: readonly number[],
): Promise<Vector> {
  const arrays: Vector[] = []
  for (const [index, buffer] of buffers.entries()) {
    const staging = device.createBuffer({ size: buffer.size, usage: USAGE.mapRead | USAGE.copyTarget })
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size)
    device.queue.submit([encoder.finish()])
    await staging.mapAsync(1)
    const bytes = staging.getMappedRange().slice(0)
    const array = dtype === 'f32' ? new Float32Array(bytes) : new Uint16Array(bytes)
    arrays.push(array.subarray(0, segments[index]))
    staging.destroy()
  }
  const length = segments.reduce((sum, count) => sum + count, 0)
  const whole = dtype === 'f32' ? new Float32Array(length) : new Uint16Array(length)
  let at = 0
  for (const array of arrays) {
    whole.set(array, at)
    at += array.length
  }
  return whole
}

/** From which buffers to which copies are made from now on, until the result is called. */
export function copiedBuffers(): () => [PageBuffer, PageBuffer][] {
  type Copy = (this: WebEncoder, ...args: Parameters<WebEncoder['copyBufferToBuffer']>) => void
  const scope = globalThis as unknown as { GPUCommandEncoder: { prototype: { copyBufferToBuffer: Copy } } }
  const { prototype } = scope.GPUCommandEncoder
  const original = prototype.copyBufferToBuffer
  const pairs: [PageBuffer, PageBuffer][] = []
  prototype.copyBufferToBuffer = function (from, fromAt, to, toAt, byteLength) {
    pairs.push([from, to])
    original.call(this, from, fromAt, to, toAt, byteLength)
  }
  return () => {
    prototype.copyBufferToBuffer = original
    return pairs
  }
}
