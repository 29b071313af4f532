import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const nomad: Launcher = {
  name: 'Nomad',
  detect: (env) => numbered(env, 'NOMAD_ALLOC_INDEX', []),
}
