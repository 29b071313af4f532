/**
 * A WebAssembly module behind the Binding contract.
 *
 * Nothing runs off the calling thread: the asynchronous forms wait for a turn of the event loop, and then run
 * synchronously. A module that has failed is thrown away, since a trap may leave its memory in any state, and the next
 * call gets a fresh one. A module fails by a trap, which only a mistake in it can cause, or if memory runs out. All
 * errors that are thrown are AdasumErrors.
 */
import { AdasumError, ERROR_CODES, type ErrorCode, systemCode, reasonOf } from '../errors.ts'
import { nextTurn } from '#platform'
import { ABI, type Binding, kernelForms, type Kernels } from './binding.ts'
import { type Kind, WasmArguments } from './wasm-arguments.ts'

/** The functions that take arrays. */
type Call = keyof Kernels | 'hasNonFinite' | 'nodeCount' | 'gramFinish' | 'coefficients'

/** The kinds of their arguments. */
const CALLS: Readonly<Record<Call, readonly Kind[]>> = {
  hasNonFinite: ['number', 'bytes', 'doubles'],
  nodeCount: ['pieces'],
  reduce: ['number', 'number', 'number', 'list', 'doubles', 'pieces', 'reducedOut', 'doublesOut', 'doublesOut'],
  gram: ['number', 'list', 'pieces', 'doublesOut'],
  gramFinish: ['number', 'doubles', 'doubles', 'number'],
  coefficients: ['number', 'number', 'number', 'doubles', 'doubles', 'doubles'],
  refine: ['number', 'list', 'doubles', 'pieces', 'doublesOut'],
  combine: ['number', 'number', 'list', 'doubles', 'doubles', 'bytesOut'],
  fold: ['number', 'number', 'list', 'bytesOut'],
  quantize: ['number', 'number', 'bytes', 'doubles', 'bytesInOut', 'bytesOut'],
  dequantize: ['number', 'number', 'bytes', 'doubles', 'bytesOut'],
  step: ['number', 'number', 'bytes', 'doubles', 'doubles', 'bytesInOut', 'bytesInOut', 'bytesInOut'],
  orthogonalize: ['number', 'number', 'number', 'doubles', 'bytesInOut'],
}

/**
 * The glue that wasm-bindgen makes for crates/adasum-wasm: functions over the one module that `initSync`, or the call
 * of the glue itself, has started.
 */
export type Glue = Readonly<Record<Call, (...args: number[]) => unknown>> & {
  (code: { readonly module_or_path: object }): Promise<Exports>
  readonly initSync: (code: { readonly module: object }) => Exports
  readonly abi: () => number
  readonly isa: () => string
  readonly isas: () => string[]
  readonly reserve: (byteLength: number) => number
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pageCount: number) => number }
}

/** A compiled build, and the function that makes new glue for it. */
export interface WasmCode {
  readonly module: object
  readonly createGlue: () => Glue
}

/** A started module. */
export interface Instance {
  readonly glue: Glue
  readonly memory: Exports['memory']
}

export function instantiateSync({ module, createGlue }: WasmCode): Instance {
  const glue = createGlue()
  return { glue, memory: glue.initSync({ module }).memory }
}

/** The same as instantiateSync, but asynchronous: pages may not start a large module synchronously. */
export async function instantiate({ module, createGlue }: WasmCode): Promise<Instance> {
  const glue = createGlue()
  return { glue, memory: (await glue({ module_or_path: module })).memory }
}

/**
 * The binding over a build.
 *
 * @throws AdasumError ERR_BINDING if it was built from another version of the sources
 */
export function wasmBinding(code: WasmCode, first: Instance = instantiateSync(code)): Binding {
  const found = first.glue.abi()
  if (found !== ABI) {
    throw new AdasumError(
      'ERR_BINDING',
      `The WebAssembly module has contract version ${found}, this package needs ${ABI}. Install the package again; in a checkout: npm run build:wasm`,
    )
  }
  const calls = new Calls(code, first)
  const sync = <C extends Call>(name: C): Binding[C] =>
    ((...args: unknown[]) => calls.run(name, args)) as unknown as Binding[C]
  const async =
    (name: Call) =>
    async (...args: unknown[]): Promise<void> => {
      await nextTurn()
      calls.run(name, args)
    }
  const [isa, isas] = [first.glue.isa(), first.glue.isas()]
  return {
    kind: 'wasm',
    abi: () => found,
    isa: () => isa,
    isas: () => [...isas],
    hasNonFinite: sync('hasNonFinite'),
    nodeCount: sync('nodeCount'),
    gramFinish: sync('gramFinish'),
    coefficients: sync('coefficients'),
    ...kernelForms(sync, async),
    allocate: (byteLength) => calls.allocate(byteLength),
  }
}

const PAGE_BYTES = 64 << 10
/**
 * Bytes that the arrays of an ordinary call have. They are reserved before memory is handed out, since growth would
 * detach that.
 */
const CALL_BYTES = 8 << 20

class Calls {
  readonly #code: WasmCode
  /** The started module; undefined after a failure. */
  #instance: Instance | undefined

  constructor(code: WasmCode, first: Instance) {
    this.#code = code
    this.#instance = first
  }

  run(name: Call, args: readonly unknown[]): unknown {
    const passed = new WasmArguments(CALLS[name], args)
    try {
      const { glue, memory } = (this.#instance ??= instantiateSync(this.#code))
      const room = { reserve: glue.reserve, memory }
      const result = glue[name](...passed.copyInto(room))
      passed.takeResults(room)
      return result
    } catch (error) {
      throw this.#typed(error)
    }
  }

  /** Adds pages to the module's memory, which its allocator does not use: that adds pages of its own. */
  allocate(byteLength: number): Uint8Array {
    const { glue, memory } = (this.#instance ??= instantiateSync(this.#code))
    const pageCount = Math.ceil(byteLength / PAGE_BYTES)
    try {
      glue.reserve(CALL_BYTES)
      const begin = memory.grow(pageCount) * PAGE_BYTES
      return new Uint8Array(memory.buffer, begin, byteLength)
    } catch (cause) {
      if ((cause as Error).name !== 'RangeError') throw this.#typed(cause)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${byteLength} bytes were asked for, and WebAssembly's memory has ${memory.buffer.byteLength} of at most ${2 ** 32}. Ask for less.`,
        { cause },
      )
    }
  }

  /** The core's own errors carry our codes; everything else is a failure of the module. */
  #typed(error: unknown): AdasumError {
    if (error instanceof AdasumError) return error
    const message = reasonOf(error)
    const code = ERROR_CODES.find((known): known is ErrorCode => known === systemCode(error))
    if (code) return new AdasumError(code, message, { cause: error })
    this.#instance = undefined
    return new AdasumError(
      'ERR_BINDING',
      `The WebAssembly module has failed (${message}); the next call begins with a fresh one. Please report this with the stack above.`,
      { cause: error },
    )
  }
}
