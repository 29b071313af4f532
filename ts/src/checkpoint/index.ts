/** `adasum/checkpoint`: arrays and checkpoints in files, for Node.js. */
export { convertTensor, type ConvertedArrays } from './convert.ts'
export {
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
  type WriteSafetensorsOptions,
} from './safetensors-file.ts'
export type { FileTensor, TensorInput, TensorInputs, TensorSpec } from './tensors.ts'
