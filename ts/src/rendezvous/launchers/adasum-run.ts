/** The variables of this package, which `adasum run` sets, or a user by hand. */
import { parseStoreAddress } from '../stores/tcp/address.ts'
import { type Environment, variable } from '../variables.ts'
import type { FullLaunch, Launcher } from './launcher.ts'

const NAMES = ['ADASUM_RANK', 'ADASUM_SIZE', 'ADASUM_STORE', 'ADASUM_STORE_HOST']
const LOCAL_NAMES = ['ADASUM_LOCAL_RANK', 'ADASUM_LOCAL_SIZE']

export const adasumRun: Launcher = {
  name: 'adasum run',
  detect(env) {
    return [...NAMES, ...LOCAL_NAMES].some((name) => env[name] !== undefined) ? ownLaunch(env) : undefined
  },
}

/** As `detect`, but also if no variable is set: then it names the variables that a message asks for. */
export function ownLaunch(env: Readonly<Environment>): FullLaunch {
  const store = env['ADASUM_STORE']
  const [rank, size] = [variable(env, 'ADASUM_LOCAL_RANK'), variable(env, 'ADASUM_LOCAL_SIZE')]
  return {
    rank: variable(env, 'ADASUM_RANK'),
    size: variable(env, 'ADASUM_SIZE'),
    store: {
      name: 'ADASUM_STORE',
      isSet: store !== undefined,
      address: () => (store === undefined ? undefined : parseStoreAddress(store, 'ADASUM_STORE', 'ERR_ENVIRONMENT')),
    },
    local: rank.text === undefined && size.text === undefined ? undefined : { rank, size },
    hostsStore: env['ADASUM_STORE_HOST'] === 'launcher',
  }
}
