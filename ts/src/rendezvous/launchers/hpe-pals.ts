import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const hpePals: Launcher = {
  name: 'HPE PALS',
  detect: (env) => numbered(env, 'PALS_RANKID', ['PMI_SIZE']),
}
