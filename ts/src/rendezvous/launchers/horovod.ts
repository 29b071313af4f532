import type { Launcher } from './launcher.ts'
import { numbered } from './numbered.ts'

export const horovod: Launcher = {
  name: 'Horovod',
  detect: (env) => numbered(env, 'HOROVOD_RANK', ['HOROVOD_SIZE']),
}
