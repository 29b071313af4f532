/** What each launcher says to its processes; and that under one a process is no world of its own, unless it is told so. */
import test from 'ava'
import { decisiveLaunch } from '../../ts/src/rendezvous/completeness.ts'
import { resolvePlace } from '../../ts/src/rendezvous/environment.ts'
import { adasumRun } from '../../ts/src/rendezvous/launchers/adasum-run.ts'
import { LAUNCHERS, launchesIn } from '../../ts/src/rendezvous/launchers/known.ts'
import { torch } from '../../ts/src/rendezvous/launchers/torch.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'

type Environment = Record<string, string>

/** As `mpirun -n 3` of Open MPI 4.1.4 gives them to its second process. */
const OPEN_MPI: Environment = {
  OMPI_APP_CTX_NUM_PROCS: '3',
  OMPI_COMM_WORLD_LOCAL_RANK: '1',
  OMPI_COMM_WORLD_LOCAL_SIZE: '3',
  OMPI_COMM_WORLD_NODE_RANK: '1',
  OMPI_COMM_WORLD_RANK: '1',
  OMPI_COMM_WORLD_SIZE: '3',
  OMPI_FIRST_RANKS: '0',
  OMPI_MCA_orte_ess_num_procs: '3',
  OMPI_UNIVERSE_SIZE: '2',
  PMIX_HOSTNAME: 'node1',
  PMIX_ID: '628752385.1',
  PMIX_NAMESPACE: '628752385',
  PMIX_RANK: '1',
  PMIX_VERSION: '4.2.2rc2',
}

/** As `mpiexec.hydra -n 3` of MPICH 4.0.2 gives them to its first process. */
const MPICH: Environment = {
  HYDI_CONTROL_FD: '7',
  MPI_LOCALNRANKS: '3',
  MPI_LOCALRANKID: '0',
  PMI_FD: '6',
  PMI_RANK: '0',
  PMI_SIZE: '3',
}

/** As `srun -n 3` of Slurm 22.05 gives them to its second task. */
const SRUN: Environment = {
  SLURMD_NODENAME: 'node1',
  SLURM_GTIDS: '0,1,2',
  SLURM_JOB_ID: '1',
  SLURM_JOB_NODELIST: 'node1',
  SLURM_JOB_NUM_NODES: '1',
  SLURM_LOCALID: '1',
  SLURM_NODEID: '0',
  SLURM_NPROCS: '3',
  SLURM_NTASKS: '3',
  SLURM_PROCID: '1',
  SLURM_STEPID: '0',
  SLURM_STEP_ID: '0',
  SLURM_STEP_NODELIST: 'node1',
  SLURM_STEP_NUM_NODES: '1',
  SLURM_STEP_NUM_TASKS: '3',
  SLURM_STEP_TASKS_PER_NODE: '3',
  SLURM_TASKS_PER_NODE: '3',
}

/** As `sbatch -n 2` of the same gives them to the script itself, which is no task. */
const SBATCH: Environment = {
  SLURMD_NODENAME: 'node1',
  SLURM_GTIDS: '0',
  SLURM_JOB_ID: '2',
  SLURM_JOB_NUM_NODES: '1',
  SLURM_LOCALID: '0',
  SLURM_NODEID: '0',
  SLURM_NPROCS: '2',
  SLURM_NTASKS: '2',
  SLURM_PROCID: '0',
  SLURM_TASKS_PER_NODE: '2',
}

/** What the other launchers set is from their documents. */
const OF_SEVERAL: [launcher: string, env: Environment, rank: string, size?: string][] = [
  ['Open MPI', OPEN_MPI, 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE'],
  ['MPICH or Intel MPI', MPICH, 'PMI_RANK', 'PMI_SIZE'],
  ['Slurm (srun)', SRUN, 'SLURM_PROCID', 'SLURM_STEP_NUM_TASKS'],
  ['Slurm (srun)', { SLURM_PROCID: '0', SLURM_STEP_ID: '3', SLURM_NTASKS: '2' }, 'SLURM_PROCID', 'SLURM_NTASKS'],
  ['Slurm (srun)', { SLURM_PROCID: '0', SLURM_STEP_ID: '3', SLURM_NPROCS: '2' }, 'SLURM_PROCID', 'SLURM_NPROCS'],
  // With --mpi=pmi2 its tasks have the variables of MPICH as well.
  ['Slurm (srun)', { ...SRUN, PMI_RANK: '1', PMI_SIZE: '3' }, 'SLURM_PROCID', 'SLURM_STEP_NUM_TASKS'],
  [
    'MVAPICH2',
    { MV2_COMM_WORLD_RANK: '1', MV2_COMM_WORLD_SIZE: '2', MV2_COMM_WORLD_LOCAL_RANK: '1' },
    'MV2_COMM_WORLD_RANK',
    'MV2_COMM_WORLD_SIZE',
  ],
  ['HPE PALS', { PALS_RANKID: '3', PALS_APID: 'x', PMI_RANK: '3', PMI_SIZE: '8' }, 'PALS_RANKID', 'PMI_SIZE'],
  ['Flux', { FLUX_TASK_RANK: '0', FLUX_JOB_SIZE: '2', FLUX_JOB_NNODES: '1' }, 'FLUX_TASK_RANK', 'FLUX_JOB_SIZE'],
  ['LSF (jsrun)', { JSM_NAMESPACE_RANK: '5', JSM_NAMESPACE_SIZE: '6' }, 'JSM_NAMESPACE_RANK', 'JSM_NAMESPACE_SIZE'],
  ['Horovod', { HOROVOD_RANK: '0', HOROVOD_SIZE: '4', HOROVOD_LOCAL_SIZE: '4' }, 'HOROVOD_RANK', 'HOROVOD_SIZE'],
  [
    'Kubeflow (torch)',
    { PET_NODE_RANK: '1', PET_NNODES: '2', PET_MASTER_ADDR: 'job-node-0-0.job' },
    'PET_NODE_RANK',
    'PET_NNODES',
  ],
  ['Kubeflow (JAX)', { JAX_PROCESS_ID: '1', JAX_NUM_PROCESSES: '2' }, 'JAX_PROCESS_ID', 'JAX_NUM_PROCESSES'],
  [
    'LeaderWorkerSet',
    { LWS_WORKER_INDEX: '0', LWS_GROUP_SIZE: '4', LWS_LEADER_ADDRESS: 'lws-0.lws' },
    'LWS_WORKER_INDEX',
    'LWS_GROUP_SIZE',
  ],
  ['Volcano', { VC_TASK_INDEX: '0', VC_MASTER_NUM: '1', VC_WORKER_NUM: '3' }, 'VC_TASK_INDEX', 'VC_WORKER_NUM'],
  [
    'AWS Batch',
    { AWS_BATCH_JOB_NODE_INDEX: '1', AWS_BATCH_JOB_NUM_NODES: '2' },
    'AWS_BATCH_JOB_NODE_INDEX',
    'AWS_BATCH_JOB_NUM_NODES',
  ],
  ['PMIx', { PMIX_NAMESPACE: 'prterun-1', PMIX_RANK: '2' }, 'PMIX_RANK'],
  [
    'Kubernetes (indexed job)',
    { JOB_COMPLETION_INDEX: '1', KUBERNETES_SERVICE_HOST: '10.0.0.1' },
    'JOB_COMPLETION_INDEX',
  ],
  ['Nomad', { NOMAD_ALLOC_INDEX: '1', NOMAD_ALLOC_ID: 'x', NOMAD_GROUP_NAME: 'train' }, 'NOMAD_ALLOC_INDEX'],
]

/** The same, without one variable. */
function without(name: string, env: Environment): Environment {
  return Object.fromEntries(Object.entries(env).filter(([other]) => other !== name))
}

for (const [i, [name, env, rank, size]] of OF_SEVERAL.entries())
  test(`detected ${i}: ${name} by ${rank} and ${size}`, (t) => {
    const launcher = LAUNCHERS.find((other) => other.name === name)!
    const detect = (given: Environment) => launcher.detect(given)
    const sizeVariable = size === undefined ? undefined : { name: size, text: env[size] }
    t.deepEqual(detect({ ...env, PATH: '/bin' }), { rank: { name: rank, text: env[rank] }, size: sizeVariable })
    t.is(detect(without(rank, env)), undefined)
    for (const nonsense of ['', '-1', '1.5', 'x', '4294967291'])
      t.is(detect({ ...env, [rank]: nonsense }), undefined, nonsense)
    if (size !== undefined) t.is(detect({ [rank]: env[rank]!, SLURM_STEP_ID: '0' }), undefined, 'a rank alone')
    // There may be another one to read it from.
    if (size !== undefined) t.not(detect({ ...env, [size]: '' })?.size?.name, size)
    if (size !== undefined) t.not(detect(without(size, env))?.size?.name, size)
  })

for (const [launcher, env, rank, size] of OF_SEVERAL)
  test(`one of several processes of ${launcher} is no world of one: ${Object.keys(env).at(-1)}`, (t) => {
    const { message } = t.throws(() => resolvePlace({}, { ...env, PATH: '/bin' }), { code: 'ERR_ENVIRONMENT' })
    const self = `number ${env[rank]} (${rank})`
    const words =
      size === undefined
        ? `${launcher} has started this process as ${self}, and does not say of how many, but `
        : `${launcher} has started ${env[size]} processes (${size}), this one as ${self}, but `
    t.true(message.startsWith(words), message)
    for (const part of ['each would be a world of one rank', 'Set ADASUM_RANK=$', 'ADASUM_SIZE=', 'ADASUM_STORE='])
      t.true(message.includes(part), `${part}: ${message}`)
    // What the message asks for.
    t.is(resolvePlace({ launcher: 'none' }, env).size, 1)
    t.is(resolvePlace({}, { ...env, ADASUM_LAUNCHER: 'none' }).size, 1)
    t.like(resolvePlace({}, { ...env, ADASUM_RANK: '1', ADASUM_SIZE: '3', ADASUM_STORE: 'h:1' }), { rank: 1, size: 3 })
    t.like(resolvePlace({}, { ...env, RANK: '1', WORLD_SIZE: '3', MASTER_ADDR: 'h', MASTER_PORT: '1' }), { size: 3 })
    t.is(resolvePlace({ rank: 0, size: 1 }, env).size, 1)
  })

test('every launcher has been recorded', (t) => {
  const seen = new Set([adasumRun.name, torch.name, ...OF_SEVERAL.map(([name]) => name)])
  t.deepEqual(
    LAUNCHERS.map(({ name }) => name).filter((name) => !seen.has(name)),
    [],
  )
})

test('detected: adasum run, by any of its variables, with what they hold', (t) => {
  t.is(adasumRun.detect({ PATH: '/bin', ADASUM_SECRET: 'k', ADASUM_LAUNCHER: 'auto', RANK: '1' }), undefined)
  for (const name of ['RANK', 'SIZE', 'STORE', 'STORE_HOST', 'LOCAL_RANK', 'LOCAL_SIZE'])
    t.truthy(adasumRun.detect({ [`ADASUM_${name}`]: '' }), name)
  const launch = adasumRun.detect({ ADASUM_RANK: 'one', ADASUM_STORE: 'h:7', ADASUM_LOCAL_SIZE: '2' })!
  t.deepEqual(launch.rank, { name: 'ADASUM_RANK', text: 'one' })
  t.deepEqual(launch.size, { name: 'ADASUM_SIZE', text: undefined })
  t.deepEqual(launch.local, {
    rank: { name: 'ADASUM_LOCAL_RANK', text: undefined },
    size: { name: 'ADASUM_LOCAL_SIZE', text: '2' },
  })
  t.like(launch.store, { name: 'ADASUM_STORE', isSet: true })
  t.deepEqual(launch.store!.address(), { host: 'h', ports: [7] })
  t.false(launch.hostsStore)
  t.true(adasumRun.detect({ ADASUM_STORE_HOST: 'launcher' })!.hostsStore)
  const bare = adasumRun.detect({ ADASUM_RANK: '0' })!
  t.is(bare.local, undefined)
  t.false(bare.store!.isSet)
  t.is(bare.store!.address(), undefined)
  t.throws(() => adasumRun.detect({ ADASUM_STORE: 'h' })!.store!.address(), { code: 'ERR_ENVIRONMENT' })
})

test('detected: torchrun and its relatives, by any of their variables, with what they hold', (t) => {
  t.is(torch.detect({ PATH: '/bin', LOCAL_RANK: '0', ADASUM_RANK: '1' }), undefined)
  for (const name of ['RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'TORCHELASTIC_RUN_ID'])
    t.truthy(torch.detect({ [name]: '' }), name)
  const env = { RANK: 'one', LOCAL_RANK: '0', MASTER_ADDR: 'h', MASTER_PORT: '7' }
  const launch = torch.detect(env)!
  t.deepEqual(launch.rank, { name: 'RANK', text: 'one' })
  t.deepEqual(launch.size, { name: 'WORLD_SIZE', text: undefined })
  t.is(launch.local, undefined)
  t.is(launch.jobId, undefined)
  t.like(launch.store, { name: 'MASTER_ADDR', isSet: true })
  t.deepEqual(launch.store!.address(), { host: 'h', ports: [7] })
  const local = { rank: { name: 'LOCAL_RANK', text: '0' }, size: { name: 'LOCAL_WORLD_SIZE', text: '2' } }
  t.deepEqual(torch.detect({ ...env, LOCAL_WORLD_SIZE: '2' })!.local, local)
  t.is(torch.detect({ ...env, TORCHELASTIC_RUN_ID: 'none' })!.jobId?.length, 16)
  const agent = torch.detect({ ...env, TORCHELASTIC_USE_AGENT_STORE: 'True' })!.store!.address()!
  t.false(agent.ports.includes(7))
  const bare = torch.detect({ RANK: '0' })!
  t.false(bare.store!.isSet)
  t.is(bare.store!.address(), undefined)
  t.throws(() => torch.detect({ MASTER_PORT: '7' })!.store!.address(), { code: 'ERR_ENVIRONMENT' })
})

test('what an option stands for is not read', (t) => {
  const nonsense = { RANK: 'one', WORLD_SIZE: 'two', MASTER_ADDR: '', MASTER_PORT: 'x', ADASUM_STORE: 'h' }
  t.like(resolvePlace({ rank: 1, size: 2, store: 'h:1' }, nonsense), { rank: 1, size: 2 })
})

const ALONE: [name: string, env: Environment][] = [
  ['no launcher', { PATH: '/bin', HOME: '/root', KUBERNETES_SERVICE_HOST: '10.0.0.1' }],
  ['mpirun -n 1', { ...OPEN_MPI, OMPI_COMM_WORLD_SIZE: '1', OMPI_COMM_WORLD_RANK: '0', PMIX_RANK: '0' }],
  ['a batch script of Slurm', SBATCH],
  ['one whose step has the number of a batch script', { ...SBATCH, SLURM_STEP_ID: '4294967291' }],
  ['a step of one task in a larger job', { ...SRUN, SLURM_PROCID: '0', SLURM_STEP_NUM_TASKS: '1' }],
  ['a size without a rank', { PMI_SIZE: '3', PALS_NODEID: '1' }],
  ['a rank without a size', { HOROVOD_RANK: '1' }],
  ['numbers that are none', { OMPI_COMM_WORLD_RANK: '', OMPI_COMM_WORLD_SIZE: '3x' }],
  ['an elastic range of nodes', { PET_NODE_RANK: '0', PET_NNODES: '1:4' }],
]
for (const [name, env] of ALONE)
  test(`a world of one, and no launcher is blamed: ${name}`, (t) => {
    t.is(decisiveLaunch(launchesIn(env)), undefined)
    t.like(resolvePlace({}, env), { rank: 0, size: 1 })
  })

const asMessage = (options: ConnectOptions, env: Environment): { code: string; message: string } => {
  try {
    resolvePlace(options, env)
    return { code: 'none', message: '' }
  } catch (error) {
    return error as { code: string; message: string }
  }
}

test('a place that is half set is completed from the launcher’s variables', (t) => {
  const store = asMessage({}, { ...OPEN_MPI, ADASUM_STORE: 'h:1' })
  t.is(store.code, 'ERR_ENVIRONMENT')
  t.true(store.message.includes('of their places only ADASUM_STORE is set'), store.message)
  t.true(store.message.includes('Set ADASUM_RANK=$OMPI_COMM_WORLD_RANK, ADASUM_SIZE=$OMPI_COMM_WORLD_SIZE in every'))
  const master = asMessage({}, { ...MPICH, MASTER_ADDR: 'h', MASTER_PORT: '1' })
  t.true(master.message.includes('Set RANK=$PMI_RANK, WORLD_SIZE=$PMI_SIZE in every'), master.message)
  const numbers = asMessage({ rank: 0, size: 3 }, OPEN_MPI)
  t.is(numbers.code, 'ERR_ENVIRONMENT')
  t.true(numbers.message.includes('Set ADASUM_STORE=<host of rank 0>:<port> in every'), numbers.message)
})

test('launcher none leaves ADASUM_* and the options, and nothing else', (t) => {
  const torchrun = { RANK: '2', WORLD_SIZE: '8', MASTER_ADDR: 'h', MASTER_PORT: '1', TORCHELASTIC_RUN_ID: 'x' }
  t.is(resolvePlace({}, torchrun).size, 8)
  t.like(resolvePlace({ launcher: 'none' }, torchrun), { size: 1, jobId: new Uint8Array(16) })
  t.is(resolvePlace({ launcher: 'auto' }, { ...torchrun, ADASUM_LAUNCHER: 'none' }).size, 8)
  const own = { ...torchrun, ADASUM_RANK: '1', ADASUM_SIZE: '2', ADASUM_STORE: 'h:1', ADASUM_LAUNCHER: 'none' }
  t.like(resolvePlace({}, own), { rank: 1, size: 2 })
  // The secret is remembered for the same environment, whatever is read of it.
  const env: Environment = { ...torchrun, ADASUM_SECRET: 'k', ADASUM_LAUNCHER: 'none' }
  t.is(resolvePlace({}, env).secret, 'k')
  t.is(resolvePlace({}, env).secret, 'k')
})

test('a launcher that is none is refused', (t) => {
  t.like(asMessage({ launcher: 'mpi' as never }, {}), {
    code: 'ERR_ARGUMENT',
    message: 'option "launcher" must be auto or none, but it is mpi',
  })
  t.is(asMessage({ launcher: null as never }, {}).code, 'ERR_ARGUMENT')
  t.like(asMessage({}, { ADASUM_LAUNCHER: 'slurm' }), {
    code: 'ERR_ENVIRONMENT',
    message: 'ADASUM_LAUNCHER must be auto or none, but it is slurm',
  })
  t.is(asMessage({}, { ADASUM_LAUNCHER: '' }).code, 'ERR_ENVIRONMENT')
})

test.serial('the first process of a launcher that does not say how many is warned, once', async (t) => {
  const warnings: (Error & { code?: string })[] = []
  const listen = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listen)
  const env = { JOB_COMPLETION_INDEX: '0' }
  t.is(resolvePlace({ launcher: 'none' }, env).size, 1)
  t.is(resolvePlace({ rank: 0, size: 1 }, env).size, 1)
  for (const _ of [1, 2]) t.is(resolvePlace({}, env).size, 1)
  await new Promise(setImmediate)
  process.off('warning', listen)
  t.is(warnings.length, 1)
  t.is(warnings[0]?.code, 'ADASUM_LAUNCHER')
  t.regex(warnings[0]!.message, /^Kubernetes \(indexed job\) .*number 0 \(JOB_COMPLETION_INDEX\).*world of one rank/)
})
