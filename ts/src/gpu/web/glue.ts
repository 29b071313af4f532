/**
 * The border to crates/adasum-gpu-wasm: the plan of a reduction and its steps. Only tables, partial sums and shaders
 * cross it; vectors stay on the device. Objects live in the module's memory until `free`.
 */
import { createGlue } from '#wasm/gpu-glue.js'
import { AdasumError, reasonOf } from '../../errors.ts'
import { wasmPlatform } from '../../binding/wasm-platform.ts'
import { gpuWasmBytes } from '../web-files.ts'

/** The contract's version. */
export const GPU_WASM_ABI = 2

interface Freed {
  free(): void
}

/** One dispatch of a plan. */
export interface DispatchGlue extends Freed {
  /** Equal for dispatches of one shader. */
  readonly key: string
  /** The name of the kernel. */
  readonly name: string
  /** The text of the shader. @param arithmetic - its index in `arithmetics()` */
  wgsl(arithmetic: number): string
  readonly window: number
  /** The batch whose chunk table is bound; undefined if the dispatch has its own. */
  readonly batch: number | undefined
  /** The slots whose own buffers are bound; empty if the window's slab is bound. */
  readonly ownSlots: Uint32Array
  /** The kernel's arguments, as bytes. */
  readonly call: Uint8Array
  readonly workgroups: number
  readonly partialBytes: number
  /** Bytes of the largest magnitudes, which are read back behind the partial sums. */
  readonly largestBytes: number
  readonly tableBindings: Uint32Array
  table(index: number): Uint8Array
}

/** The test that finds which arithmetic keeps sums exact on a device. */
export interface TrialGlue extends Freed {
  /** The bytes that the kernel reads. */
  slab(): Uint8Array
  /** Dispatches of one kernel over the same vectors, each of which cuts them in another way. */
  dispatches(): DispatchGlue[]
  /** Whether the sums of a dispatch are exact. @param index - that of the dispatch */
  isPassed(index: number, sums: Uint8Array): boolean
  /** Throws the error for a device that has passed in no arithmetic. */
  refuse(name: string): void
}

/** A part of a copy into a slot: groups that lie in one window. */
export interface PartGlue extends Freed {
  readonly window: number
  readonly begin: number
  readonly end: number
  /** The first group, counted from the start of the window's slab. */
  readonly firstGroup: number
  /** The dispatch that copies them from the upload buffer; undefined if they are to be written to the slab itself. */
  dispatch(): DispatchGlue | undefined
}

export interface PlanGlue extends Freed {
  readonly groupCount: number
  /** Two numbers a window: where its groups begin in the vector, and end. */
  windows(): Float64Array
  /** The segment of a window in which every input has a buffer of its own; undefined for a slab. */
  ownSegment(window: number): number | undefined
  slabBytes(window: number): number
  readonly uploadBytes: number
  chunkTable(window: number, batch: number): Uint8Array
  /** The dispatches of the Gram kernels. */
  gram(): DispatchGlue[]
  /** The dispatches that combine, one a batch. */
  combinations(resultDtype: number): DispatchGlue[]
  /**
   * The parts of a copy into a slot.
   *
   * @param dtype - of a vector that overwrites the slot; undefined for one that is added
   */
  parts(slot: number, dtype: number | undefined, begin: number, end: number): PartGlue[]
  /** STRETCH_NUMBERS numbers each. */
  stretches(begin: number, end: number): Float64Array
}

/**
 * [segment, first element in the segment, first element in the vector, element count, first element on the device, from
 * the first group].
 */
export const STRETCH_NUMBERS = 5

/** The steps that `ReductionGlue.step` returns. */
export const STEPS = { gram: 0, segmentSums: 1, combine: 2 } as const

export interface ReductionGlue extends Freed {
  /** The next step, one of STEPS. All sums of the step before must have been added. */
  step(): number
  /** The dispatches of a step `segmentSums`. */
  dispatches(): DispatchGlue[]
  /** Adds the sums of a dispatch. @param index - that of the dispatch in this step */
  add(index: number, sums: Uint8Array): void
  /** The factors of a combination. @param index - that of the combination in the plan */
  factors(index: number): Uint8Array
  readonly orthogonality: Float64Array
  readonly coefficients: Float64Array
  readonly nonFinite: Uint32Array
}

export interface GpuGlue {
  abi(): number
  /** Names of the arithmetics, the fastest first; each is followed by that of the same arithmetic by subgroups. */
  arithmetics(): string[]
  trimWgsl(): string
  readonly Trial: new () => TrialGlue
  /**
   * `limits`: bytes of a binding, bytes of a buffer, workgroups, bytes of memory. Segments from `ownBytes` on stay in
   * buffers of their own.
   */
  readonly Plan: new (
    dtype: number,
    slotCount: number,
    segmentElementCounts: Float64Array,
    limits: Float64Array,
    ownBytes: number,
  ) => PlanGlue
  readonly Reduction: new (plan: PlanGlue, op: number, policy: number, resultDtype: number) => ReductionGlue
}

/** The glue that wasm-bindgen makes: a function that starts the module, with the exports as its properties. */
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
