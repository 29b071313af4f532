import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const kubeflowTorch: Launcher = {
  name: 'Kubeflow (torch)',
  detect: (env) => numbered(env, 'PET_NODE_RANK', ['PET_NNODES']),
}
