import type { Study } from '../engine/study.ts'
import { elastic } from './elastic.ts'
import { emulation } from './emulation.ts'
import { largestBatch, plain } from './largest-batch.ts'
import { operators } from './operators.ts'
import { orthogonality } from './orthogonality.ts'
import { precision } from './precision.ts'
import { transformer } from './transformer.ts'

/** In the order in which they are best run: later ones take up runs of earlier ones. */
export const STUDIES: readonly Study[] = [
  largestBatch,
  transformer,
  orthogonality,
  operators,
  elastic,
  emulation,
  precision,
  plain,
]
