/**
 * Tensors of tfjs's webgpu backend, such as the gradients of micro-batches, combined where they lie.
 *
 * `dataToGPU` hands out a copy of a tensor, and `tf.tensor` makes one of a buffer, so that both sides may give their
 * memory back when they like: k + 1 copies on the device. Nothing but partial sums is brought to the host.
 */
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError } from '../../errors.ts'
import { BufferReducer, GpuDevice, type PageBuffer, type PageDevice } from '../../gpu/index.ts'
import { USAGE, type WebBuffer, type WebGpuDevice } from '../../gpu/web/webgpu.ts'
import { checkOptions, kindOf } from '../../tensor/check.ts'
import type { OnNonFinite, OptionNames, ReduceOp, SegmentReduction } from '../../types.ts'

/** One micro-batch's gradients: a list, or a map as `tf.variableGrads` returns it. */
export type Tensors = readonly tf.Tensor[] | tf.NamedTensorMap

export interface TensorReducerOptions {
  /** Bytes from which a tensor is used without being copied together with others. Default 65,536. */
  inPlaceBytes?: number
}

const OPTIONS: OptionNames<TensorReducerOptions> = { inPlaceBytes: true }

export interface CombineOptions {
  /** Default `throw` for adasum, `propagate` for sum and average. */
  onNonFinite?: OnNonFinite
}

const COMBINE_OPTIONS: OptionNames<CombineOptions> = { onNonFinite: true }

export interface TensorReduction<T extends Tensors> {
  /** New tensors, the caller's to dispose of, in the form of the inputs. */
  readonly tensors: T
  /** A segment a tensor; orthogonality of adasum only. */
  readonly segments: SegmentReduction[]
  /** Inputs that are not finite. */
  readonly nonFinite: number[]
}

/** The part of tfjs's backend that is used. */
interface WebGpuBackend {
  readonly device: WebGpuDevice
  /** Small tensors may lie in the host's memory until they are used. */
  uploadToGPU(dataId: object): void
}

/** The reducer and the results' memory for tensors of certain sizes. */
interface Workspace {
  readonly key: string
  readonly reducer: BufferReducer
  readonly out: WebBuffer[]
}

/** Combines any number of times; tensors of other sizes get other memory. */
export class TensorReducer {
  readonly #inPlace: TensorReducerOptions
  #last: Promise<unknown> = Promise.resolve()
  #workspace: Workspace | undefined

  /** @throws AdasumError ERR_ARGUMENT for an option that is unknown */
  constructor(options: TensorReducerOptions = {}) {
    checkOptions(options, OPTIONS)
    this.#inPlace = options.inPlaceBytes === undefined ? {} : { inPlaceBytes: options.inPlaceBytes }
  }

  /**
   * Combines the tensors with the same index, or name, over all inputs, a segment a tensor. The inputs stay the
   * caller's.
   *
   * @throws AdasumError ERR_UNSUPPORTED if tfjs runs on another backend, or for more than 16 inputs; ERR_ARGUMENT for
   *   inputs that differ or are not float32; ERR_NON_FINITE if an input is not finite and the policy is to throw;
   *   ERR_DEVICE_LOST; ERR_OUT_OF_MEMORY
   */
  combine<T extends Tensors>(
    op: ReduceOp,
    inputs: readonly T[],
    options: CombineOptions = {},
  ): Promise<TensorReduction<T>> {
    const done = this.#last.then(() => this.#combine(op, inputs, options))
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Gives all memory back, once the calls before have been done. */
  close(): Promise<void> {
    const done = this.#last.then(() => this.#release())
    this.#last = done.catch(() => undefined)
    return done
  }

  /** Closes it, at the end of an `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #combine<T extends Tensors>(
    op: ReduceOp,
    inputs: readonly T[],
    options: CombineOptions,
  ): Promise<TensorReduction<T>> {
    checkOptions(options, COMBINE_OPTIONS)
    const backend = webGpuBackend()
    const { names, lists } = checkInputs(inputs)
    const { reducer, out } = await this.#workspaceFor(backend, lists)
    const copies = lists.map((list) => list.map((tensor) => gpuCopyOf(backend, tensor)))
    try {
      const buffers = copies.map((list) => list.map(({ buffer }) => buffer))
      const { orthogonality, nonFinite } = await reducer.reduce(op, buffers, out, options)
      const tensors = out.map((buffer, index) => tf.tensor({ buffer } as never, lists[0]![index]!.shape, 'float32'))
      const segments = names.map((name, index): SegmentReduction => {
        const value = orthogonality[index]
        return { name, elementCount: lists[0]![index]!.size, ...(value === undefined ? {} : { orthogonality: value }) }
      })
      return { tensors: inTheFormOf(inputs[0]!, names, tensors), segments, nonFinite }
    } finally {
      for (const { tensorRef } of copies.flat()) tensorRef.dispose()
    }
  }

  async #workspaceFor({ device }: WebGpuBackend, lists: readonly (readonly tf.Tensor[])[]): Promise<Workspace> {
    const segments = lists[0]!.map(({ size }) => size)
    const key = `${lists.length}: ${segments.join()}`
    if (this.#workspace?.key === key) return this.#workspace
    await this.#release()
    const own = await ownDevice(device)
    const reducer = await BufferReducer.create({ device: own, inputs: lists.length, segments, ...this.#inPlace })
    const usage = USAGE.storage | USAGE.copySource | USAGE.copyTarget
    // As long as the tensor: tfjs reads a buffer to its end.
    const out = segments.map((count) => device.createBuffer({ size: 4 * count, usage }))
    this.#workspace = { key, reducer, out }
    return this.#workspace
  }

  async #release(): Promise<void> {
    const workspace = this.#workspace
    this.#workspace = undefined
    for (const buffer of workspace?.out ?? []) buffer.destroy()
    await workspace?.reducer.close()
  }
}

const devices = new WeakMap<PageDevice, Promise<GpuDevice>>()

/** tfjs's device as ours, found out about once. */
function ownDevice(device: PageDevice): Promise<GpuDevice> {
  const known = devices.get(device)
  if (known) return known
  const own = GpuDevice.from(device).catch((error: unknown) => {
    devices.delete(device)
    throw error
  })
  devices.set(device, own)
  return own
}

function webGpuBackend(): WebGpuBackend {
  const name = tf.getBackend()
  if (name === 'webgpu') return tf.backend() as unknown as WebGpuBackend
  throw new AdasumError(
    'ERR_UNSUPPORTED',
    `tfjs's backend is ${name}, tensors lie in GPUBuffers with webgpu only. Call tf.setBackend('webgpu'), or combine arrays with adasum().`,
  )
}

function gpuCopyOf(backend: WebGpuBackend, tensor: tf.Tensor): { tensorRef: tf.Tensor; buffer: PageBuffer } {
  backend.uploadToGPU(tensor.dataId)
  const { tensorRef, buffer } = tensor.dataToGPU()
  return { tensorRef, buffer: buffer as unknown as PageBuffer }
}

/** The tensors of each input in one order, and their names. @throws AdasumError ERR_ARGUMENT */
function checkInputs(inputs: readonly Tensors[]): { names: string[]; lists: tf.Tensor[][] } {
  if (!Array.isArray(inputs) || inputs.length === 0)
    throw new AdasumError('ERR_ARGUMENT', 'inputs must be a list of at least one list, or map, of tensors.')
  const all = inputs as readonly Tensors[]
  const names = Object.keys(all[0] ?? {})
  const lists = all.map((tensors, index) => {
    const found = Object.keys(tensors ?? {})
    if (found.length !== names.length || names.length === 0)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `inputs[${index}] has ${found.length} tensors, inputs[0] has ${names.length}. Give each the same, at least one.`,
      )
    return names.map((name) => (tensors as tf.NamedTensorMap)[name]!)
  })
  for (const [index, list] of lists.entries())
    for (const [at, tensor] of list.entries()) checkTensor(tensor, lists[0]![at]!, `inputs[${index}].${names[at]}`)
  return { names, lists }
}

function checkTensor(tensor: tf.Tensor, first: tf.Tensor, what: string): void {
  if (!(tensor instanceof tf.Tensor))
    throw new AdasumError('ERR_ARGUMENT', `${what} is ${kindOf(tensor)}; it must be a tf.Tensor.`)
  if (tensor.dtype !== 'float32')
    throw new AdasumError('ERR_ARGUMENT', `${what} is ${tensor.dtype}; only float32 is combined. Cast it.`)
  if (tensor.shape.join() !== first.shape.join())
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} has the shape [${tensor.shape.join()}], in inputs[0] it has [${first.shape.join()}]. Use equal shapes.`,
    )
  if (tensor.size === 0) throw new AdasumError('ERR_ARGUMENT', `${what} has 0 elements. Leave it out.`)
}

function inTheFormOf<T extends Tensors>(form: T, names: readonly string[], tensors: readonly tf.Tensor[]): T {
  if (Array.isArray(form)) return tensors as unknown as T
  return Object.fromEntries(names.map((name, index) => [name, tensors[index]])) as unknown as T
}
