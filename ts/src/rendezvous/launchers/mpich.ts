import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const mpich: Launcher = {
  name: 'MPICH or Intel MPI',
  detect: (env) => numbered(env, 'PMI_RANK', ['PMI_SIZE']),
}
