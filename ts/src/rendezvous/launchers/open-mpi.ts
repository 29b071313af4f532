import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const openMpi: Launcher = {
  name: 'Open MPI',
  detect: (env) => numbered(env, 'OMPI_COMM_WORLD_RANK', ['OMPI_COMM_WORLD_SIZE']),
}
