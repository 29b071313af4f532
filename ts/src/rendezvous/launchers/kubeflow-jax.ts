import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const kubeflowJax: Launcher = {
  name: 'Kubeflow (JAX)',
  detect: (env) => numbered(env, 'JAX_PROCESS_ID', ['JAX_NUM_PROCESSES']),
}
