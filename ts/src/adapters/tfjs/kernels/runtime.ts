/** What the training kernels share: running a registered kernel inside another one, and the heap it works in. */
import * as tf from '@tensorflow/tfjs-core'
import { AdasumError } from '../../../errors.ts'

export const BACKEND_NAME = 'wasm'

export const IMPORT_ADVICE = "Import '@tensorflow/tfjs-backend-wasm' (one copy of tfjs-core) first."

/** The part of the wasm backend that kernels use. */
export interface WasmBackend {
  /** Allocates a tensor on the heap; its contents are whatever lay there. */
  makeOutput(shape: number[], dtype: 'float32'): tf.TensorInfo
  /** A view of a tensor's memory. It goes stale with the next allocation, which may move the heap. */
  typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array
  disposeData(dataId: tf.DataId): boolean
}

/** What a kernel is called with, once its backend is known to be the wasm one. */
export interface KernelCall {
  backend: WasmBackend
  inputs: Record<string, tf.TensorInfo>
  attrs: Record<string, unknown>
}

export type Kernel = (call: KernelCall) => tf.TensorInfo

/** Runs the kernel that is registered now, so that an override of it is used as well. */
export function runKernel(
  name: string,
  backend: WasmBackend,
  inputs: Record<string, tf.TensorInfo>,
  attrs: Record<string, unknown> = {},
): tf.TensorInfo {
  const config = tf.getKernel(name, BACKEND_NAME)
  if (config === undefined) throw new AdasumError('ERR_NOT_READY', missingKernel(name))
  return config.kernelFunc({ backend, inputs, attrs: attrs as tf.NamedAttrMap }) as tf.TensorInfo
}

export function missingKernel(name: string): string {
  return `the wasm backend has no kernel ${name}. ${IMPORT_ADVICE}`
}

export function free(backend: WasmBackend, ...tensors: tf.TensorInfo[]): void {
  for (const tensor of tensors) backend.disposeData(tensor.dataId)
}

/** The same memory under another shape; it is freed with `tensor`, not by itself. */
export function reshape(tensor: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  return { dataId: tensor.dataId, dtype: tensor.dtype, shape }
}

export interface Geometry {
  batch: number
  inHeight: number
  inWidth: number
  inChannels: number
  outHeight: number
  outWidth: number
  outChannels: number
  filterHeight: number
  filterWidth: number
  strideHeight: number
  strideWidth: number
  pad: { top: number; bottom: number; left: number; right: number }
}

/** Geometry of a forward NHWC convolution, from the attributes of one of its two gradient kernels. */
export function convolutionGeometry(
  inputShape: number[],
  filterShape: number[],
  attrs: Record<string, unknown>,
): Geometry {
  const { strides, pad, dimRoundingMode } = attrs
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides as number | [number, number],
    1,
    pad as 'same' | 'valid' | number,
    dimRoundingMode as 'floor' | 'round' | 'ceil',
  )
  return {
    batch: info.batchSize,
    inHeight: info.inHeight,
    inWidth: info.inWidth,
    inChannels: info.inChannels,
    outHeight: info.outHeight,
    outWidth: info.outWidth,
    outChannels: info.outChannels,
    filterHeight: info.filterHeight,
    filterWidth: info.filterWidth,
    strideHeight: info.strideHeight,
    strideWidth: info.strideWidth,
    pad: info.padInfo,
  }
}
