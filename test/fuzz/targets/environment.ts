/** The environment variables by which a process learns its place: lines of name=value. */
import { parseAddress } from '../../../ts/src/transport/address.ts'
import { fileNameOf } from '../../../ts/src/observe/file-name.ts'
import { MAX_WORLD_SIZE, type Place, resolvePlace } from '../../../ts/src/rendezvous/environment.ts'
import { formatStoreAddress } from '../../../ts/src/rendezvous/stores/tcp/address.ts'
import { formatTuning, resolveTuning } from '../../../ts/src/tuning.ts'
import { isDeepStrictEqual } from 'node:util'
import { refusal, ensure, type Target } from '../_target.ts'

const ENVIRONMENTS = [
  'ADASUM_RANK=1\nADASUM_SIZE=4\nADASUM_STORE=127.0.0.1:29500\nADASUM_LOCAL_RANK=1\nADASUM_LOCAL_SIZE=2\nADASUM_SECRET=s3cret',
  'ADASUM_RANK=0\nADASUM_SIZE=2\nADASUM_STORE=[fe80::1%eth0]:1\nADASUM_LISTEN=::\nADASUM_HOST=10.0.0.7\nADASUM_MACHINE=a',
  'RANK=3\nWORLD_SIZE=8\nLOCAL_RANK=1\nLOCAL_WORLD_SIZE=2\nMASTER_ADDR=node-0\nMASTER_PORT=29400\nTORCHELASTIC_RUN_ID=none\nTORCHELASTIC_USE_AGENT_STORE=True',
  'ADASUM_TUNING=directSize=8,directByteLength=32768, connectionsPerPeer=2\nADASUM_SHARED_MEMORY=1073741824\nADASUM_TIMELINE=t-%r-%p%%.json\nADASUM_FLIGHT_RECORD=f.json',
  'SLURM_STEP_ID=0\nSLURM_PROCID=0\nSLURM_NTASKS=1\nADASUM_LAUNCHER=none\nADASUM_SHARED_MEMORY=0',
  'ADASUM_RANK=2\nADASUM_SIZE=3\nADASUM_STORE=h:65535\nADASUM_STORE_HOST=launcher\nOMPI_COMM_WORLD_RANK=1\nOMPI_COMM_WORLD_SIZE=2',
]

const NAMES = [
  ...['PMIX_RANK', 'PMI_RANK', 'PMI_SIZE', 'FLUX_TASK_RANK', 'FLUX_JOB_SIZE', 'HOROVOD_RANK', 'HOROVOD_SIZE'],
  ...['VC_TASK_INDEX', 'VC_WORKER_NUM', 'JOB_COMPLETION_INDEX', 'PET_NNODES', 'PET_NODE_RANK', 'ADASUM_PORT'],
  ...['LWS_WORKER_INDEX', 'LWS_GROUP_SIZE', 'AWS_BATCH_JOB_NODE_INDEX', 'AWS_BATCH_JOB_NUM_NODES'],
]

function environmentOf(text: string): Record<string, string> {
  const pairs = text.split('\n').flatMap((line) => {
    const at = line.indexOf('=')
    // Files of the machine that runs this are no input.
    return at < 1 || line.startsWith('ADASUM_SECRET_FILE') ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
  })
  // The system knows no others.
  return Object.fromEntries(pairs.map(([name, value]) => [name, value.replaceAll('\0', '')]))
}

function check(place: Place): void {
  const { rank, size, store, listen, timeline, flightRecord, tuning, sharedMemory, localRank, localSize } = place
  ensure(size >= 1 && size <= MAX_WORLD_SIZE, () => `a world of ${size}`)
  ensure(rank >= 0 && rank < size, () => `rank ${rank} of ${size}`)
  ensure(store !== undefined || size === 1, 'several ranks that cannot meet')
  ensure((localRank ?? 0) < (localSize ?? Infinity), () => `local rank ${localRank} of ${localSize}`)
  ensure(sharedMemory >= 0, () => `${sharedMemory} bytes of shared memory`)
  ensure(
    isDeepStrictEqual(resolveTuning(undefined, formatTuning(tuning)), tuning),
    'the tuning changes when it is written',
  )
  for (const port of store?.ports ?? []) ensure(port > 0 && port < 65536, () => `port ${port}`)
  if (listen !== undefined) ensure(listen !== '', 'an empty address to listen at')
  for (const file of [timeline, flightRecord].flatMap((setting) => setting?.value ?? []))
    ensure(fileNameOf(file, { rank, size }) !== '', 'a file without a name')
  const [address, ...more] = store === undefined ? [] : formatStoreAddress(store).split(', ')
  if (address === undefined || more.length > 0 || store?.host.includes(',')) return
  const again = parseAddress(address)
  ensure(again?.port === store!.ports[0], () => `the store at ${address} is not one that can be named`)
}

export const environment: Target = {
  name: 'environment',
  share: 10,
  largest: 1024,
  seeds: () => ENVIRONMENTS.map((text) => Buffer.from(text)),
  words: [...NAMES.map((name) => `\n${name}=1`), '127.0.0.1:1', '[::1]:1', 'true', '%r', '%%', 'none', '\n', '='],
  run(input) {
    const env = environmentOf(Buffer.from(input).toString('utf8'))
    const before = JSON.stringify(env)
    let place: Place
    try {
      place = resolvePlace({}, env)
    } catch (error) {
      return refusal(error)
    }
    ensure(env['ADASUM_SECRET'] === undefined, 'the secret stays in the environment')
    const untouched = JSON.stringify({ ...(JSON.parse(before) as object), ADASUM_SECRET: undefined })
    ensure(JSON.stringify(env) === untouched, 'it changes more of the environment than the secret')
    check(place)
    return true
  },
}
