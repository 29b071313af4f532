/**
 * A browser's GPUDevice: its buffers, its pipelines and its errors.
 *
 * Error scopes are a stack that belongs to the device, not to a call. So they are opened and closed around calls that
 * do not wait; only the errors that they have caught are waited for.
 */
import { AdasumError, reasonOf } from '../../errors.ts'
import { nextTurn } from '#platform'
import type { GpuGlue, DispatchGlue } from './glue.ts'
import {
  MAP_READ,
  SUBGROUPS,
  USAGE,
  type WebBuffer,
  type WebEncoder,
  type WebGpuDevice,
  type WebPipeline,
} from './webgpu.ts'

const SCOPES = ['internal', 'validation', 'out-of-memory'] as const

/** Limits below those of the device. */
export interface WebLimitOptions {
  readonly bindingBytes?: number | undefined
  readonly workgroups?: number | undefined
  readonly memoryBytes?: number | undefined
}

export class WebDevice {
  readonly device: WebGpuDevice
  readonly glue: GpuGlue
  /** Bytes of a binding, bytes of a buffer, workgroups, bytes of memory: as a plan takes them. */
  readonly limits: Float64Array
  readonly #pipelines = new Map<string, Promise<WebPipeline>>()
  #fault: AdasumError | undefined
  arithmetic = 0

  constructor(device: WebGpuDevice, glue: GpuGlue, options: WebLimitOptions) {
    this.device = device
    this.glue = glue
    const { maxStorageBufferBindingSize, maxBufferSize, maxComputeWorkgroupsPerDimension } = device.limits
    this.limits = Float64Array.of(
      Math.min(maxStorageBufferBindingSize, options.bindingBytes ?? Infinity),
      maxBufferSize,
      Math.min(maxComputeWorkgroupsPerDimension, options.workgroups ?? Infinity),
      options.memoryBytes ?? Infinity,
    )
    void device.lost.then(({ message }) => this.lose(`the device is lost (${message}). Open it again.`))
  }

  /** Whether its shaders may use subgroups. */
  get hasSubgroups(): boolean {
    return this.device.features?.has(SUBGROUPS) === true
  }

  /** Makes every later call fail. The first message counts: it is the cause of the others. */
  lose(message: string): void {
    this.#fault ??= new AdasumError('ERR_DEVICE_LOST', message)
    this.#pipelines.clear()
  }

  /** @throws AdasumError ERR_DEVICE_LOST if the device has gone */
  check(): void {
    if (this.#fault) throw this.#fault
  }

  /**
   * Calls `work`, which must not wait, and waits for the errors that the device reports for it.
   *
   * @throws AdasumError ERR_OUT_OF_MEMORY, ERR_DEVICE_LOST; ERR_BINDING for a call that the device has refused
   */
  async scoped<T>(work: () => T): Promise<T> {
    this.check()
    for (const filter of SCOPES) this.device.pushErrorScope(filter)
    let done: T
    let caught: Promise<(AdasumError | undefined)[]>
    try {
      done = work()
    } finally {
      // The promise of a lost device rejects; then the loss is what counts.
      const errors = SCOPES.toReversed().map((filter) =>
        this.device.popErrorScope().then(typedBy(filter), () => undefined),
      )
      caught = Promise.all(errors)
    }
    const error = (await caught).find((found) => found !== undefined)
    this.check()
    if (error) throw error
    return done
  }

  /** Submits the commands that `encode` puts into an encoder. */
  submit(encode: (encoder: WebEncoder) => void): void {
    const encoder = this.device.createCommandEncoder()
    encode(encoder)
    this.device.queue.submit([encoder.finish()])
  }

  /**
   * A buffer; at least as long as a binding must be.
   *
   * @throws AdasumError ERR_OUT_OF_MEMORY if it is longer than any may be
   */
  buffer(byteLength: number, usage: number): WebBuffer {
    const most = this.limits[1]!
    if (byteLength > most)
      throw new AdasumError(
        'ERR_OUT_OF_MEMORY',
        `a buffer of ${byteLength} bytes is needed, the device makes them up to ${most}. Use a shorter vector, or the CPU.`,
      )
    return this.device.createBuffer({ size: Math.max(16, Math.ceil(byteLength / 4) * 4), usage })
  }

  /** A buffer for kernels. */
  storage(byteLength: number): WebBuffer {
    return this.buffer(byteLength, USAGE.storage | USAGE.copySource | USAGE.copyTarget)
  }

  /** A buffer with these bytes in it. */
  filled(bytes: Uint8Array, usage: number = USAGE.storage): WebBuffer {
    const buffer = this.buffer(bytes.length, usage | USAGE.copyTarget)
    this.device.queue.writeBuffer(buffer, 0, bytes)
    return buffer
  }

  /** The pipeline of a dispatch, compiled at its first use. */
  pipeline(planned: DispatchGlue): Promise<WebPipeline> {
    const { arithmetic } = this
    return this.#pipelineOf(`${planned.key} ${arithmetic}`, planned.name, () => planned.wgsl(arithmetic))
  }

  /** The pipeline of the trim kernel. */
  trimPipeline(): Promise<WebPipeline> {
    return this.#pipelineOf('trim', 'trim', () => this.glue.trimWgsl())
  }

  #pipelineOf(key: string, name: string, text: () => string): Promise<WebPipeline> {
    const known = this.#pipelines.get(key)
    if (known) return known
    const compiled = this.#compile(name, text()).catch((error: unknown) => {
      this.#pipelines.delete(key)
      throw error
    })
    this.#pipelines.set(key, compiled)
    return compiled
  }

  async #compile(name: string, code: string): Promise<WebPipeline> {
    const module = await this.scoped(() => this.device.createShaderModule({ label: name, code }))
    try {
      return await this.device.createComputePipelineAsync({
        label: name,
        layout: 'auto',
        compute: { module, entryPoint: 'main' },
      })
    } catch (cause) {
      await nextTurn()
      this.check()
      throw refused(reasonOf(cause), cause)
    }
  }

  /**
   * The bytes of a buffer that was made to be read, once all that was submitted is done.
   *
   * @throws AdasumError ERR_DEVICE_LOST
   */
  async readBack<T>(staging: WebBuffer, read: (bytes: Uint8Array) => T): Promise<T> {
    try {
      await staging.mapAsync(MAP_READ)
    } catch (cause) {
      // The promise that tells of a lost device may settle a moment later.
      await nextTurn()
      this.check()
      throw new AdasumError('ERR_DEVICE_LOST', "the device's memory could not be read. Open it again.", { cause })
    }
    this.check()
    try {
      return read(new Uint8Array(staging.getMappedRange()))
    } finally {
      staging.unmap()
    }
  }
}

function typedBy(filter: (typeof SCOPES)[number]): (error: { message: string } | null) => AdasumError | undefined {
  return (error) => {
    if (error === null) return undefined
    if (filter !== 'out-of-memory') return refused(error.message)
    return new AdasumError(
      'ERR_OUT_OF_MEMORY',
      `the device has too little memory (${error.message}). Use fewer slots or a shorter vector, or the CPU.`,
    )
  }
}

function refused(message: string, cause?: unknown): AdasumError {
  return new AdasumError('ERR_BINDING', `the browser refused a call to its GPU: ${message}. Report this.`, { cause })
}
