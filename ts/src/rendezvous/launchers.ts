/**
 * Launchers that number their processes and do not say where these could meet. They are known by their variables, so that
 * the processes of one of them do not become as many worlds of one rank without a word.
 */

/** By what a launcher is known. A variable counts if it holds a whole number. */
export interface Launcher {
  readonly name: string
  /** The number of this process, from 0. */
  readonly rank: string
  /** How many processes there are: the first of these that is set. None: the launcher does not say. */
  readonly size: readonly (string | RegExp)[]
  /** A number, too, that must be set besides, where rank and size alone may mean something else. */
  readonly besides?: string
}

/** Those that use others' variables stand before these. */
export const LAUNCHERS: readonly Launcher[] = [
  {
    name: 'Slurm (srun)',
    rank: 'SLURM_PROCID',
    size: ['SLURM_STEP_NUM_TASKS', 'SLURM_NTASKS', 'SLURM_NPROCS'],
    // The shells of salloc and sbatch have the rest, too, though they are no task of the job.
    besides: 'SLURM_STEP_ID',
  },
  { name: 'Open MPI', rank: 'OMPI_COMM_WORLD_RANK', size: ['OMPI_COMM_WORLD_SIZE'] },
  { name: 'MVAPICH2', rank: 'MV2_COMM_WORLD_RANK', size: ['MV2_COMM_WORLD_SIZE'] },
  { name: 'HPE PALS', rank: 'PALS_RANKID', size: ['PMI_SIZE'] },
  { name: 'MPICH or Intel MPI', rank: 'PMI_RANK', size: ['PMI_SIZE'] },
  { name: 'Flux', rank: 'FLUX_TASK_RANK', size: ['FLUX_JOB_SIZE'] },
  { name: 'LSF (jsrun)', rank: 'JSM_NAMESPACE_RANK', size: ['JSM_NAMESPACE_SIZE'] },
  { name: 'Horovod', rank: 'HOROVOD_RANK', size: ['HOROVOD_SIZE'] },
  { name: 'Kubeflow (torch)', rank: 'PET_NODE_RANK', size: ['PET_NNODES'] },
  { name: 'Kubeflow (JAX)', rank: 'JAX_PROCESS_ID', size: ['JAX_NUM_PROCESSES'] },
  { name: 'LeaderWorkerSet', rank: 'LWS_WORKER_INDEX', size: ['LWS_GROUP_SIZE'] },
  { name: 'Volcano', rank: 'VC_TASK_INDEX', size: [/^VC_\w+_NUM$/] },
  { name: 'AWS Batch', rank: 'AWS_BATCH_JOB_NODE_INDEX', size: ['AWS_BATCH_JOB_NUM_NODES'] },
  { name: 'PMIx', rank: 'PMIX_RANK', size: [] },
  { name: 'Kubernetes (indexed job)', rank: 'JOB_COMPLETION_INDEX', size: [] },
  { name: 'Nomad', rank: 'NOMAD_ALLOC_INDEX', size: [] },
]

/** A launcher that has started this process. */
export interface Launch {
  readonly launcher: string
  readonly rank: NumberedVariable
  /** Absent if the launcher does not say. */
  readonly size: NumberedVariable | undefined
}

export interface NumberedVariable {
  readonly name: string
  readonly value: number
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The launcher by whose word this process is one of several, or may be: it does not say how many, and this is number 0.
 * Undefined if there is none, or one that says that this process is the only one.
 */
export function detectLaunch(env: Environment): Launch | undefined {
  const launches = LAUNCHERS.flatMap((launcher) => launchBy(launcher, env) ?? [])
  const ofSeveral = launches.find(isOneOfSeveral)
  if (ofSeveral !== undefined) return ofSeveral
  return launches.every(({ size }) => size === undefined) ? launches[0] : undefined
}

/** Whether there are more processes: as the launcher says, or because somebody must have the numbers below this one's. */
export function isOneOfSeveral({ rank, size }: Launch): boolean {
  return (size?.value ?? rank.value + 1) > 1
}

/** For a sentence: what the launcher says of this process. */
export function describeLaunch({ launcher, rank, size }: Launch): string {
  const self = `number ${rank.value} (${rank.name})`
  if (size !== undefined) return `${launcher} has started ${size.value} processes (${size.name}), this one as ${self}`
  return `${launcher} has started this process as ${self}, and does not say of how many`
}

function launchBy({ name, rank, size, besides }: Launcher, env: Environment): Launch | undefined {
  const number = numberIn(env, rank)
  if (number === undefined || (besides !== undefined && numberIn(env, besides) === undefined)) return undefined
  const count = size.map((variable) => sizeIn(env, variable)).find((found) => found !== undefined)
  if (count === undefined && size.length > 0) return undefined
  return { launcher: name, rank: number, size: count }
}

function sizeIn(env: Environment, variable: string | RegExp): NumberedVariable | undefined {
  if (typeof variable === 'string') return numberIn(env, variable)
  // One a kind of task, of which some may not take part.
  const found = Object.keys(env).filter((name) => variable.test(name))
  const numbers = found.flatMap((name) => numberIn(env, name) ?? [])
  return numbers.sort((a, b) => b.value - a.value)[0]
}

/** Numbers of ten and more digits stand for something else: 4294967291 for the batch script of a Slurm job. */
function numberIn(env: Environment, name: string): NumberedVariable | undefined {
  const text = env[name] ?? ''
  return /^\d{1,9}$/.test(text) ? { name, value: Number(text) } : undefined
}
