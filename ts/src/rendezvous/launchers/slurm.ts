import type { Launcher } from './launcher.ts'
import { numbered, numberIn } from './numbered.ts'

const SIZES = ['SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS', 'SLURM_NPROCS']

export const slurm: Launcher = {
  name: 'Slurm (srun)',
  detect(env) {
    // The shells of salloc and sbatch have the rest, too, though they are no task of the job.
    if (numberIn(env, 'SLURM_STEP_ID') === undefined) return undefined
    return numbered(env, 'SLURM_PROCID', SIZES)
  },
}
