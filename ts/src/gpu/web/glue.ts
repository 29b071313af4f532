/**
 * The border to crates/adasum-gpu-wasm: the plan of a reduction and its steps. What is small crosses it: tables, partial sums and
 * shaders. Objects live in the module's memory until `free`.
 */
import { createGlue } from '#wasm/gpu-glue.js'
import { AdasumError, reasonOf } from '../../errors.ts'
import { wasmPlatform } from '../../binding/wasm-platform.ts'
import { gpuWasmBytes } from '../web-files.ts'

/** The contract's version. */
export const GPU_WASM_ABI = 1

interface Freed {
  free(): void
}

/** One dispatch. */
export interface RunGlue extends Freed {
  /** Equal for runs of one shader. */
  readonly key: string
  readonly name: string
  wgsl(arithmetic: number): string
  readonly window: number
  /** Whose chunk table is bound; undefined if the run brings its own. */
  readonly batch: number | undefined
  /** The slots whose buffers are bound; empty if the window's slab is. */
  readonly ownSlots: Uint32Array
  /** What the kernel is told. */
  readonly call: Uint8Array
  readonly workgroups: number
  readonly partialBytes: number
  /** Of the largest magnitudes, which are read back behind the partial sums. */
  readonly largestBytes: number
  readonly tableBindings: Uint32Array
  table(index: number): Uint8Array
}

/** Which arithmetic keeps exact sums on a device. */
export interface TrialGlue extends Freed {
  slab(): Uint8Array
  /** The same kernel over several cuts. */
  runs(): RunGlue[]
  /** @param run - the place of the run whose sums these are */
  isPassed(run: number, sums: Uint8Array): boolean
  /** Throws what to say of a device that has passed in none. */
  refuse(name: string): void
}

/** Groups that lie in one window, on their way into a slot. */
export interface PartGlue extends Freed {
  readonly window: number
  readonly begin: number
  readonly end: number
  /** Where they begin in the window's slab. */
  readonly firstGroup: number
  /** What brings them there from the upload buffer; undefined if they are written there themselves. */
  run(): RunGlue | undefined
}

export interface PlanGlue extends Freed {
  readonly groupCount: number
  /** Two numbers a window: where its groups begin in the vector, and end. */
  windows(): Float64Array
  /** The segment of which every input has a buffer of its own there. */
  ownSegment(window: number): number | undefined
  slabBytes(window: number): number
  readonly uploadBytes: number
  chunkTable(window: number, batch: number): Uint8Array
  gram(): RunGlue[]
  combinations(resultDtype: number): RunGlue[]
  /** `dtype` of a vector that overwrites; undefined for one that is added. */
  parts(slot: number, dtype: number | undefined, begin: number, end: number): PartGlue[]
  /** STRETCH_NUMBERS numbers each. */
  stretches(begin: number, end: number): Float64Array
}

/** [segment, first element in it, first element in the vector, element count, place counted from the first group]. */
export const STRETCH_NUMBERS = 5

/** What `step` returns. */
export const STEPS = { gram: 0, measure: 1, combine: 2 } as const

export interface ReductionGlue extends Freed {
  /** What to do next; all that the step before has asked for must have been added. */
  step(): number
  /** Of a step `measure`. */
  runs(): RunGlue[]
  add(index: number, sums: Uint8Array): void
  /** Of a combination, by its place among the plan's. */
  factors(index: number): Uint8Array
  readonly orthogonality: Float64Array
  readonly coefficients: Float64Array
  readonly nonFinite: Uint32Array
}

export interface GpuGlue {
  abi(): number
  /** Names, from the fastest on; behind each that of the same by subgroups. */
  arithmetics(): string[]
  trimWgsl(): string
  readonly Trial: new () => TrialGlue
  /** `limits`: bytes of a binding, bytes of a buffer, workgroups, bytes of memory. Segments from `ownBytes` on stay in buffers of their own. */
  readonly Plan: new (
    dtype: number,
    slotCount: number,
    segmentElementCounts: Float64Array,
    limits: Float64Array,
    ownBytes: number,
  ) => PlanGlue
  readonly Reduction: new (plan: PlanGlue, op: number, policy: number, resultDtype: number) => ReductionGlue
}

/** What wasm-bindgen makes: a function that starts the module, with the others as its properties. */
export type StartGpuGlue = GpuGlue & ((code: { readonly module_or_path: object }) => Promise<unknown>)

let loaded: Promise<GpuGlue> | undefined

/**
 * The module, loaded once; after a failure the next call tries again.
 *
 * @throws AdasumError ERR_BINDING if it cannot be fetched or started, or is of another version
 */
export function loadGpuGlue(): Promise<GpuGlue> {
  loaded ??= load().catch((error: unknown) => {
    loaded = undefined
    throw error
  })
  return loaded
}

async function load(): Promise<GpuGlue> {
  const bytes = await gpuWasmBytes()
  const glue = createGlue()
  try {
    await glue({ module_or_path: await wasmPlatform.compile(bytes) })
  } catch (cause) {
    const reason = reasonOf(cause)
    throw new AdasumError(
      'ERR_BINDING',
      `The WebAssembly module (gpu, ${bytes.length} bytes) cannot be started (${reason}). See that the server sends the file as it is, and that the page's content security policy allows 'wasm-unsafe-eval'.`,
      { cause },
    )
  }
  const found = glue.abi()
  if (found === GPU_WASM_ABI) return glue
  throw new AdasumError(
    'ERR_BINDING',
    `The WebAssembly module for GPUs has contract version ${found}, this package needs ${GPU_WASM_ABI}. Install the package again; in a checkout: npm run build:wasm`,
  )
}
