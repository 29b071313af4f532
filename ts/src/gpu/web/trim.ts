/**
 * Clears the half word behind a segment of an odd number of two-byte elements. Copies on the device move whole words,
 * so they write one such half word too many, and kernels rely on zeros in the gaps between segments.
 */
import type { WebDevice } from './device.ts'
import { BINDING } from './dispatch.ts'
import type { PlanGlue } from './glue.ts'
import { type WebWindow, stretchesOf } from './windows.ts'
import { USAGE, type WebBuffer, type WebEncoder, type WebPipeline } from './webgpu.ts'

const THREADS = 64
/**
 * Numbers of a call; the count stands behind the offsets of the inputs. See crates/adasum-gpu/shaders/shared/call.wgsl.
 */
const CALL_NUMBERS = 20
const COUNT_AT = 16

interface Table {
  readonly words: WebBuffer
  readonly call: WebBuffer
  readonly group: object
  readonly workgroups: number
}

export class Trim {
  readonly #pipeline: WebPipeline
  /** By slot, one table for each window that has odd segments. */
  readonly #tables: readonly (readonly Table[])[]

  private constructor(pipeline: WebPipeline, tables: readonly (readonly Table[])[]) {
    this.#pipeline = pipeline
    this.#tables = tables
  }

  static async make(gpu: WebDevice, plan: PlanGlue, windows: readonly WebWindow[], slotCount: number): Promise<Trim> {
    const pipeline = await gpu.trimPipeline()
    const layout = pipeline.getBindGroupLayout(0)
    const odd = windows.map((window) => (window.slab ? oddWords(plan, window) : []))
    return gpu.scoped(() => {
      const table = (window: WebWindow, words: number[], slot: number): Table => {
        const slotWords = ((window.end - window.begin) * 4) / 2
        return makeTable(
          gpu,
          layout,
          window.slab!,
          Uint32Array.from(words, (word) => slot * slotWords + word),
        )
      }
      const tables = Array.from({ length: slotCount }, (_, slot) =>
        windows.flatMap((window, index) => (odd[index]!.length > 0 ? [table(window, odd[index]!, slot)] : [])),
      )
      return new Trim(pipeline, tables)
    })
  }

  encode(encoder: WebEncoder, slot: number): void {
    for (const { group, workgroups } of this.#tables[slot]!) {
      const pass = encoder.beginComputePass()
      pass.setPipeline(this.#pipeline)
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(workgroups)
      pass.end()
    }
  }

  destroy(): void {
    for (const { words, call } of this.#tables.flat()) {
      words.destroy()
      call.destroy()
    }
  }
}

/** The words, counted from a slot's start in a window, whose upper half belongs to no segment. */
function oddWords(plan: PlanGlue, { begin, end }: WebWindow): number[] {
  const stretches = [...stretchesOf(plan, begin, end)].filter(({ elementCount }) => elementCount % 2 === 1)
  return stretches.map(({ deviceElement, elementCount }) => (deviceElement + elementCount - 1) / 2)
}

function makeTable(gpu: WebDevice, layout: object, slab: WebBuffer, words: Uint32Array): Table {
  const numbers = new Uint32Array(CALL_NUMBERS)
  numbers[COUNT_AT] = words.length
  const call = gpu.filled(new Uint8Array(numbers.buffer), USAGE.uniform)
  const table = gpu.filled(new Uint8Array(words.buffer))
  const buffers = [
    [BINDING.call, call],
    [BINDING.slab, table],
    [BINDING.out, slab],
  ] as const
  const entries = buffers.map(([binding, buffer]) => ({ binding, resource: { buffer } }))
  const workgroups = Math.min(Math.ceil(words.length / THREADS), gpu.limits[2]!)
  return { words: table, call, group: gpu.device.createBindGroup({ layout, entries }), workgroups }
}
