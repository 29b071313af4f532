import type { Study } from '../engine/study.ts'
import { largestBatch, plain } from './largest-batch.ts'

/** In the order in which they are best run: later ones take up runs of earlier ones. */
export const STUDIES: readonly Study[] = [largestBatch, plain]
