import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const leaderWorkerSet: Launcher = {
  name: 'LeaderWorkerSet',
  detect: (env) => numbered(env, 'LWS_WORKER_INDEX', ['LWS_GROUP_SIZE']),
}
