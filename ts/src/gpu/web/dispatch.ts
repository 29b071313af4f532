/** Dispatches of a plan on the device, and the buffers that they are bound to. */
import type { WebDevice } from './device.ts'
import type { DispatchGlue } from './glue.ts'
import { USAGE, type PageBuffer, type WebBuffer, type WebEncoder, type WebPipeline } from './webgpu.ts'

/** Bindings; see crates/adasum-gpu/src/plan/dispatch.rs. */
export const BINDING = { call: 0, slab: 1, chunks: 2, out: 3, largest: 4, factors: 4, firstInput: 8 } as const

/** A buffer and the binding that it is bound to; with `byteLength` only its first bytes are. */
export type Bound = readonly [binding: number, buffer: PageBuffer, byteLength?: number]

/** A dispatch of a plan with its pipeline, its arguments and its own tables; it can be encoded any number of times. */
export class Dispatch {
  readonly planned: DispatchGlue
  readonly #gpu: WebDevice
  readonly #pipeline: WebPipeline
  readonly #own: Bound[]
  readonly #workgroups: number
  #group: object | undefined

  private constructor(gpu: WebDevice, planned: DispatchGlue, pipeline: WebPipeline) {
    this.#gpu = gpu
    this.planned = planned
    this.#pipeline = pipeline
    this.#workgroups = planned.workgroups
    const tables = [...planned.tableBindings].map((binding, index): Bound => [
      binding,
      gpu.filled(planned.table(index)),
    ])
    this.#own = [[BINDING.call, gpu.filled(planned.call, USAGE.uniform)], ...tables]
  }

  /** Takes `planned` over, and frees it when the dispatches are destroyed. All pipelines are compiled at once. */
  static async makeAll(gpu: WebDevice, planned: readonly DispatchGlue[]): Promise<Dispatch[]> {
    const pipelines = await Promise.all(planned.map((each) => gpu.pipeline(each)))
    return gpu.scoped(() => planned.map((each, index) => new Dispatch(gpu, each, pipelines[index]!)))
  }

  /** Binds the other buffers, for all encodings that follow. */
  bind(buffers: readonly Bound[]): void {
    const entries = [...this.#own, ...buffers].map(([binding, buffer, size]) => ({
      binding,
      resource: size === undefined ? { buffer } : { buffer, size },
    }))
    this.#group = this.#gpu.device.createBindGroup({ layout: this.#pipeline.getBindGroupLayout(0), entries })
  }

  /** Appends the dispatch to the encoder. */
  encode(encoder: WebEncoder): void {
    if (this.#workgroups === 0 || !this.#group) return
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.#pipeline)
    pass.setBindGroup(0, this.#group)
    pass.dispatchWorkgroups(this.#workgroups)
    pass.end()
  }

  /** Destroys the buffers that were made for it. */
  destroy(): void {
    for (const [, buffer] of this.#own) (buffer as WebBuffer).destroy()
    this.planned.free()
  }
}

/** Dispatches that give sums, and one buffer in which the host reads the sums of all of them. */
export class Sums {
  readonly #gpu: WebDevice
  readonly #all: readonly { dispatch: Dispatch; partials: WebBuffer; largest: WebBuffer | undefined }[]
  readonly #staging: WebBuffer

  private constructor(gpu: WebDevice, dispatches: readonly Dispatch[]) {
    this.#gpu = gpu
    this.#all = dispatches.map((dispatch) => {
      const { partialBytes, largestBytes } = dispatch.planned
      const largest = largestBytes > 0 ? gpu.storage(largestBytes) : undefined
      return { dispatch, partials: gpu.storage(partialBytes), largest }
    })
    this.#staging = gpu.buffer(
      dispatches.reduce((sum, { planned }) => sum + planned.partialBytes + planned.largestBytes, 0),
      USAGE.mapRead | USAGE.copyTarget,
    )
  }

  static async make(gpu: WebDevice, planned: readonly DispatchGlue[]): Promise<Sums> {
    const dispatches = await Dispatch.makeAll(gpu, planned)
    return gpu.scoped(() => new Sums(gpu, dispatches))
  }

  /** Binds each dispatch's inputs beside its sums. */
  bind(inputsOf: (planned: DispatchGlue) => readonly Bound[]): void {
    for (const { dispatch, partials, largest } of this.#all) {
      const sums: Bound[] = [[BINDING.out, partials]]
      if (largest) sums.push([BINDING.largest, largest])
      dispatch.bind([...inputsOf(dispatch.planned), ...sums])
    }
  }

  encode(encoder: WebEncoder): void {
    let at = 0
    for (const { dispatch, partials, largest } of this.#all) {
      const { partialBytes, largestBytes } = dispatch.planned
      dispatch.encode(encoder)
      encoder.copyBufferToBuffer(partials, 0, this.#staging, at, partialBytes)
      if (largest) encoder.copyBufferToBuffer(largest, 0, this.#staging, at + partialBytes, largestBytes)
      at += partialBytes + largestBytes
    }
  }

  /** Gives each dispatch's sums to `add`, once the device has computed them. */
  read(add: (index: number, sums: Uint8Array) => void): Promise<void> {
    return this.#gpu.readBack(this.#staging, (bytes) => {
      let at = 0
      for (const [index, { dispatch }] of this.#all.entries()) {
        const end = at + dispatch.planned.partialBytes + dispatch.planned.largestBytes
        add(index, bytes.subarray(at, end))
        at = end
      }
    })
  }

  destroy(): void {
    for (const { dispatch, partials, largest } of this.#all) {
      dispatch.destroy()
      partials.destroy()
      largest?.destroy()
    }
    this.#staging.destroy()
  }
}
