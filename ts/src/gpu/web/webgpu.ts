/**
 * The types of WebGPU that this package uses: no library of types has them for both Node.js and browsers. A page's own
 * GPUDevice and GPUBuffer, from whatever library of types, are taken as `PageDevice` and `PageBuffer`.
 */

/** A GPUDevice. */
export interface PageDevice {
  /** Resolves when the device is lost, to the reason. */
  readonly lost: Promise<{
    /** What the browser says of it. */
    readonly message: string
  }>
  /** Its limits, a GPUSupportedLimits. */
  readonly limits: object
  /** Its queue, a GPUQueue. */
  readonly queue: object
}

/** A GPUBuffer. */
export interface PageBuffer {
  /** Its length in bytes. */
  readonly size: number
  /** Its GPUBufferUsage flags. */
  readonly usage: number
}

export interface WebLimits {
  readonly maxStorageBufferBindingSize: number
  readonly maxBufferSize: number
  readonly maxComputeWorkgroupsPerDimension: number
}

/** GPUSupportedFeatures */
export interface WebFeatures {
  has(name: string): boolean
}

/** The feature with which shaders may use subgroups. */
export const SUBGROUPS = 'subgroups'

export interface WebAdapterInfo {
  readonly vendor?: string
  readonly architecture?: string
  readonly device?: string
  readonly description?: string
  readonly isFallbackAdapter?: boolean
}

export interface WebAdapter {
  readonly limits: WebLimits
  readonly features?: WebFeatures
  readonly info?: WebAdapterInfo
  requestDevice(descriptor: {
    label: string
    requiredLimits: Record<string, number>
    requiredFeatures: string[]
  }): Promise<WebGpuDevice>
}

export interface WebBuffer extends PageBuffer {
  mapAsync(mode: number): Promise<void>
  getMappedRange(): ArrayBuffer
  unmap(): void
  destroy(): void
}

export interface WebPipeline {
  getBindGroupLayout(index: number): object
}

export interface WebPass {
  setPipeline(pipeline: WebPipeline): void
  setBindGroup(index: number, group: object): void
  dispatchWorkgroups(count: number): void
  end(): void
}

export interface WebEncoder {
  beginComputePass(): WebPass
  copyBufferToBuffer(from: PageBuffer, fromAt: number, to: PageBuffer, toAt: number, byteLength: number): void
  clearBuffer(buffer: PageBuffer): void
  finish(): object
}

export interface WebError {
  readonly message: string
}

export interface WebGpuDevice extends PageDevice {
  readonly limits: WebLimits
  readonly features?: WebFeatures
  readonly adapterInfo?: WebAdapterInfo
  readonly queue: {
    submit(commands: object[]): void
    writeBuffer(to: PageBuffer, toAt: number, from: ArrayBufferView, fromAt?: number, elementCount?: number): void
  }
  destroy(): void
  createBuffer(descriptor: { size: number; usage: number }): WebBuffer
  createShaderModule(descriptor: { label: string; code: string }): object
  createComputePipelineAsync(descriptor: {
    label: string
    layout: 'auto'
    compute: { module: object; entryPoint: string }
  }): Promise<WebPipeline>
  createBindGroup(descriptor: {
    layout: object
    entries: { binding: number; resource: { buffer: PageBuffer; offset?: number; size?: number } }[]
  }): object
  createCommandEncoder(): WebEncoder
  pushErrorScope(filter: string): void
  popErrorScope(): Promise<WebError | null>
}

interface WebGpuEntry {
  requestAdapter(options?: { powerPreference?: string }): Promise<WebAdapter | null>
}

/** The entry of a page or a worker; undefined where there is none, as on a page that was not served securely. */
export function webGpuEntry(): WebGpuEntry | undefined {
  const { navigator } = globalThis as { navigator?: { gpu?: WebGpuEntry } }
  return navigator?.gpu
}

/** GPUBufferUsage; the object itself is there only where WebGPU is. */
export const USAGE = {
  mapRead: 0x1,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const

/** GPUMapMode.READ */
export const MAP_READ = 1
