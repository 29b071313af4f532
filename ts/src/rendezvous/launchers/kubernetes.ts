import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const kubernetes: Launcher = {
  name: 'Kubernetes (indexed job)',
  detect: (env) => numbered(env, 'JOB_COMPLETION_INDEX', []),
}
