import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const awsBatch: Launcher = {
  name: 'AWS Batch',
  detect: (env) => numbered(env, 'AWS_BATCH_JOB_NODE_INDEX', ['AWS_BATCH_JOB_NUM_NODES']),
}
