/** torchrun, and whatever else sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT: Ray Train, Accelerate, DeepSpeed. */
import { createHash } from 'node:crypto'
import { AdasumError } from '../../errors.ts'
import { RUN_ID_BYTE_LENGTH } from '../../wire/handshake-format.ts'
import type { StoreAddress } from '../stores/tcp/address.ts'
import { type Environment, nonEmpty, portNumber, variable } from '../variables.ts'
import type { Launcher } from './launcher.ts'

// Ports tried above MASTER_PORT when torchrun's agent holds that one.
const PORT_TRIES = 8

const NAMES = ['RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'TORCHELASTIC_RUN_ID']

export const torch: Launcher = {
  name: 'torchrun',
  detect(env) {
    if (NAMES.every((name) => env[name] === undefined)) return undefined
    const local = { rank: variable(env, 'LOCAL_RANK'), size: variable(env, 'LOCAL_WORLD_SIZE') }
    return {
      rank: variable(env, 'RANK'),
      size: variable(env, 'WORLD_SIZE'),
      store: { name: 'MASTER_ADDR', isSet: env['MASTER_ADDR'] !== undefined, address: () => storeAddress(env) },
      // Others than torchrun may set one of the two.
      local: local.rank.text === undefined || local.size.text === undefined ? undefined : local,
      jobId: jobId(env),
    }
  },
}

function storeAddress(env: Readonly<Environment>): StoreAddress | undefined {
  const host = nonEmpty(env, 'MASTER_ADDR')
  const master = portNumber(variable(env, 'MASTER_PORT'))
  if (host === undefined && master === undefined) return undefined
  if (host === undefined || master === undefined) {
    const [there, absent] = host === undefined ? ['MASTER_PORT', 'MASTER_ADDR'] : ['MASTER_ADDR', 'MASTER_PORT']
    throw new AdasumError('ERR_ENVIRONMENT', `${there} is set but ${absent} is missing: set ${absent}, too`)
  }
  return { host, ports: masterPorts(env, master) }
}

/** Under torchrun the agent itself listens on MASTER_PORT, so the store is at ADASUM_PORT or a little above. */
function masterPorts(env: Readonly<Environment>, masterPort: number): number[] {
  const own = portNumber(variable(env, 'ADASUM_PORT'))
  if (own !== undefined) return [own]
  if (!/^true$/i.test(env['TORCHELASTIC_USE_AGENT_STORE'] ?? '')) return [masterPort]
  // Counting down from the top instead of leaving the range of ports.
  const first = Math.min(masterPort + 1, 65536 - PORT_TRIES)
  return Array.from({ length: PORT_TRIES }, (_, i) => first + i).filter((port) => port !== masterPort)
}

/**
 * Keeps two torchrun jobs whose ports lie side by side from meeting, and a restarted job from meeting its past. The run
 * id alone would not do: it is "none" wherever the user has not chosen one.
 */
function jobId(env: Readonly<Environment>): Uint8Array | undefined {
  if (env['TORCHELASTIC_RUN_ID'] === undefined) return undefined
  const names = ['TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT', 'MASTER_ADDR', 'MASTER_PORT']
  const text = JSON.stringify(names.map((name) => env[name] ?? ''))
  return createHash('sha256').update(`adasum job\0${text}`).digest().subarray(0, RUN_ID_BYTE_LENGTH)
}
