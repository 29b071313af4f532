/** `adasum/tfjs-webgpu`: gradients of TensorFlow.js combined on its WebGPU device, without leaving it. */
export {
  TensorReducer,
  type CombineOptions,
  type Tensors,
  type TensorReducerOptions,
  type TensorReduction,
} from './tensor-reducer.ts'
