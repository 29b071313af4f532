/** `adasum/jax`: distributed training with jax-js. */
export type { ArrayTree } from './pytree.ts'
export {
  allReduce,
  type AllReduceTreeOptions,
  broadcast,
  type BroadcastOptions,
  type TreeReduction,
} from './tree-collectives.ts'
export type { WeightSegment } from '../../training/flat-reduction.ts'
