/** `adasum/jax`: distributed training with jax-js. */
export { DistributedOptimizer, type DistributedOptimizerOptions } from './distributed-optimizer.ts'
export type { GradientTransformation } from './inner-optimizer.ts'
export type { ArrayTree } from './pytree.ts'
export { allReduce, broadcast, type BroadcastOptions, type TreeReduction } from './tree-collectives.ts'
export type { Collectives } from '../../training/collectives.ts'
export type { BatchOptions, TrainerOptions } from '../../training/trainer-options.ts'
export type { StepReduction } from '../../training/flat-exchange.ts'
export type { WeightReduceOptions, WeightReduction, WeightSegment } from '../../training/flat-reduction.ts'
