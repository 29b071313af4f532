/** `adasum/tfjs`: distributed training with TensorFlow.js. */
export { averageNonTrainableWeights, broadcastWeights, type BroadcastWeightsOptions } from './broadcast-weights.ts'
export { distribute, type DistributeOptions, type FitCallbacks } from './distribute.ts'
export { DistributedOptimizer, type DistributedOptimizerOptions } from './distributed-optimizer.ts'
export type { TrainableModel } from './fit-hooks.ts'
export { learningRateSchedule } from './learning-rate-schedule.ts'
export type { LossFunction } from './gradients.ts'
export type { Collectives } from '../../training/collectives.ts'
export type { BatchOptions, TrainerOptions } from '../../training/trainer-options.ts'
export { adamw, AdamWOptimizer, type AdamWOptimizerOptions } from './optimizers/adamw.ts'
export { lamb, LambOptimizer, type LambOptimizerOptions } from './optimizers/lamb.ts'
export type { DecayedVariable, Decays } from './optimizers/choices.ts'
export type { MomentOptimizerOptions } from './optimizers/moment-optimizer.ts'
export { muon, MuonOptimizer, type MuonOptimizerOptions } from './optimizers/muon.ts'
export type { MuonAdamWOptions, MuonMatrixOptions } from '../../optim/muon.ts'
export type { MuonPreset } from '../../optim/rules.ts'
export type { LambPreset } from '../../optim/hyperparameters.ts'
export type { Schedule } from '../../optim/schedules.ts'
export type { StepReduction } from '../../training/flat-exchange.ts'
export { sampledDataset, type SampledDataset } from './sampled-dataset.ts'
export {
  type LoadedTraining,
  loadTraining,
  saveTraining,
  type Training,
  type TrainingContent,
} from './training-checkpoint.ts'
export { type SavedTraining, trainingCheckpoints, type TrainingCheckpointsOptions } from './training-checkpoints.ts'
export { registerTrainingKernels } from './training-kernels.ts'
export type { ModelWeight, WeightedModel, Weights } from './variables.ts'
export {
  loadWeights,
  type LoadWeightsOptions,
  type NameOfWeight,
  saveWeights,
  type SaveWeightsOptions,
} from './weights-file.ts'
