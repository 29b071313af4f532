/** `adasum/checkpoint`: arrays and checkpoints in files, for Node.js. */
export { convertTensor, type ConvertedArrays } from './convert.ts'
export {
  readSafetensors,
  type ReadSafetensorsOptions,
  type SafetensorsFile,
  writeSafetensors,
  type WriteSafetensorsOptions,
} from './safetensors-file.ts'
export { type Checkpoint, loadCheckpoint, type LocalState } from './load-checkpoint.ts'
export { restoreArrays } from './restore-arrays.ts'
export {
  type CheckpointContent,
  type CheckpointOptions,
  saveCheckpoint,
  type SaveCheckpointOptions,
} from './save-checkpoint.ts'
export type { Peers } from './team.ts'
export type { CheckpointValues } from './values.ts'
export type { FileTensor, TensorInput, TensorInputs, TensorSpec } from './tensors.ts'
