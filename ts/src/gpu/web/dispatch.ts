/** Runs on the device: what a plan says, bound to buffers. */
import type { WebDevice } from './device.ts'
import type { RunGlue } from './glue.ts'
import { USAGE, type PageBuffer, type WebBuffer, type WebEncoder, type WebPipeline } from './webgpu.ts'

/** Bindings; see crates/adasum-gpu/src/plan/run.rs. */
export const BINDING = { call: 0, slab: 1, chunks: 2, out: 3, largest: 4, factors: 4, firstInput: 8 } as const

/** What is bound: a buffer, or its first bytes. */
export type Bound = readonly [binding: number, buffer: PageBuffer, byteLength?: number]

/** A run that can be repeated: its pipeline, what it is told, and its tables. */
export class Dispatch {
  readonly run: RunGlue
  readonly #gpu: WebDevice
  readonly #pipeline: WebPipeline
  readonly #own: Bound[]
  readonly #workgroups: number
  #group: object | undefined

  private constructor(gpu: WebDevice, run: RunGlue, pipeline: WebPipeline) {
    this.#gpu = gpu
    this.run = run
    this.#pipeline = pipeline
    this.#workgroups = run.workgroups
    const tables = [...run.tableBindings].map((binding, index): Bound => [binding, gpu.filled(run.table(index))])
    this.#own = [[BINDING.call, gpu.filled(run.call, USAGE.uniform)], ...tables]
  }

  /** All runs, which then belong to what is made. Whatever they need is asked of the device at once. */
  static async makeAll(gpu: WebDevice, runs: readonly RunGlue[]): Promise<Dispatch[]> {
    const pipelines = await Promise.all(runs.map((run) => gpu.pipeline(run)))
    return gpu.scoped(() => runs.map((run, index) => new Dispatch(gpu, run, pipelines[index]!)))
  }

  /** Binds the other buffers, for all encodings that come. */
  bind(buffers: readonly Bound[]): void {
    const entries = [...this.#own, ...buffers].map(([binding, buffer, size]) => ({
      binding,
      resource: size === undefined ? { buffer } : { buffer, size },
    }))
    this.#group = this.#gpu.device.createBindGroup({ layout: this.#pipeline.getBindGroupLayout(0), entries })
  }

  /** Puts the run behind what is in the encoder already. */
  encode(encoder: WebEncoder): void {
    if (this.#workgroups === 0 || !this.#group) return
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.#pipeline)
    pass.setBindGroup(0, this.#group)
    pass.dispatchWorkgroups(this.#workgroups)
    pass.end()
  }

  /** Gives its memory back. */
  destroy(): void {
    for (const [, buffer] of this.#own) (buffer as WebBuffer).destroy()
    this.run.free()
  }
}

/** Runs that give sums, and one buffer in which the host reads those of all of them. */
export class Sums {
  readonly #gpu: WebDevice
  readonly #all: readonly { dispatch: Dispatch; partials: WebBuffer; largest: WebBuffer | undefined }[]
  readonly #staging: WebBuffer

  private constructor(gpu: WebDevice, dispatches: readonly Dispatch[]) {
    this.#gpu = gpu
    this.#all = dispatches.map((dispatch) => {
      const { partialBytes, largestBytes } = dispatch.run
      const largest = largestBytes > 0 ? gpu.storage(largestBytes) : undefined
      return { dispatch, partials: gpu.storage(partialBytes), largest }
    })
    this.#staging = gpu.buffer(
      dispatches.reduce((sum, { run }) => sum + run.partialBytes + run.largestBytes, 0),
      USAGE.mapRead | USAGE.copyTarget,
    )
  }

  static async make(gpu: WebDevice, runs: readonly RunGlue[]): Promise<Sums> {
    const dispatches = await Dispatch.makeAll(gpu, runs)
    return gpu.scoped(() => new Sums(gpu, dispatches))
  }

  /** Binds each run's inputs beside its sums. */
  bind(inputsOf: (run: RunGlue) => readonly Bound[]): void {
    for (const { dispatch, partials, largest } of this.#all) {
      const sums: Bound[] = [[BINDING.out, partials]]
      if (largest) sums.push([BINDING.largest, largest])
      dispatch.bind([...inputsOf(dispatch.run), ...sums])
    }
  }

  encode(encoder: WebEncoder): void {
    let at = 0
    for (const { dispatch, partials, largest } of this.#all) {
      const { partialBytes, largestBytes } = dispatch.run
      dispatch.encode(encoder)
      encoder.copyBufferToBuffer(partials, 0, this.#staging, at, partialBytes)
      if (largest) encoder.copyBufferToBuffer(largest, 0, this.#staging, at + partialBytes, largestBytes)
      at += partialBytes + largestBytes
    }
  }

  /** Gives each run's sums to `add`, once they are there. */
  read(add: (index: number, sums: Uint8Array) => void): Promise<void> {
    return this.#gpu.readBack(this.#staging, (bytes) => {
      let at = 0
      for (const [index, { dispatch }] of this.#all.entries()) {
        const end = at + dispatch.run.partialBytes + dispatch.run.largestBytes
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
