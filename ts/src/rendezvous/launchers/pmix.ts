import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const pmix: Launcher = {
  name: 'PMIx',
  detect: (env) => numbered(env, 'PMIX_RANK', []),
}
