import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const flux: Launcher = {
  name: 'Flux',
  detect: (env) => numbered(env, 'FLUX_TASK_RANK', ['FLUX_JOB_SIZE']),
}
