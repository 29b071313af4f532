/** The launchers that are known: for another one, a file here and a line below. */
import type { Environment } from '../variables.ts'
import { adasumRun } from './adasum-run.ts'
import { awsBatch } from './aws-batch.ts'
import { flux } from './flux.ts'
import { horovod } from './horovod.ts'
import { hpePals } from './hpe-pals.ts'
import { kubeflowJax } from './kubeflow-jax.ts'
import { kubeflowTorch } from './kubeflow-torch.ts'
import { kubernetes } from './kubernetes.ts'
import type { Launch, Launcher } from './launcher.ts'
import { leaderWorkerSet } from './leader-worker-set.ts'
import { lsf } from './lsf.ts'
import { mpich } from './mpich.ts'
import { mvapich2 } from './mvapich2.ts'
import { nomad } from './nomad.ts'
import { openMpi } from './open-mpi.ts'
import { pmix } from './pmix.ts'
import { slurm } from './slurm.ts'
import { torch } from './torch.ts'
import { volcano } from './volcano.ts'

/** In the order of precedence. A launcher that also sets another one's variables stands before that one. */
export const LAUNCHERS: readonly Launcher[] = [
  adasumRun,
  torch,
  slurm,
  openMpi,
  mvapich2,
  hpePals,
  mpich,
  flux,
  lsf,
  horovod,
  kubeflowTorch,
  kubeflowJax,
  leaderWorkerSet,
  volcano,
  awsBatch,
  pmix,
  kubernetes,
  nomad,
]

/** What a launcher says of this process, and the launcher's name. */
export type NamedLaunch = Launch & { readonly launcher: string }

/** What all launchers say that recognise this environment, in the order of precedence. */
export function launchesIn(env: Readonly<Environment>): NamedLaunch[] {
  return LAUNCHERS.flatMap((launcher) => {
    const launch = launcher.detect(env)
    return launch === undefined ? [] : [{ ...launch, launcher: launcher.name }]
  })
}
