import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const mvapich2: Launcher = {
  name: 'MVAPICH2',
  detect: (env) => numbered(env, 'MV2_COMM_WORLD_RANK', ['MV2_COMM_WORLD_SIZE']),
}
