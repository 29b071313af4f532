import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const lsf: Launcher = {
  name: 'LSF (jsrun)',
  detect: (env) => numbered(env, 'JSM_NAMESPACE_RANK', ['JSM_NAMESPACE_SIZE']),
}
