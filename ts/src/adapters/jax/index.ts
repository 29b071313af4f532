/** `adasum/jax`: distributed training with jax-js. */
export { DistributedOptimizer, type DistributedOptimizerOptions } from './distributed-optimizer.ts'
export type { GradientTransformation } from './inner-optimizer.ts'
export type { ArrayTree } from './pytree.ts'
export {
  allReduce,
  type AllReduceTreeOptions,
  broadcast,
  type BroadcastOptions,
  type TreeReduction,
} from './tree-collectives.ts'
export type { StepReduction } from '../../training/flat-exchange.ts'
export type { WeightSegment } from '../../training/flat-reduction.ts'
