/** Starts the ranks of this machine, hosts the store at which they meet, and waits until they have ended. */
import { systemCode } from '../../errors.ts'
import { dialledHost } from '../../rendezvous/stores/tcp/address.ts'
import { type HostedStore, hostStore } from '../../rendezvous/stores/tcp/host-store.ts'
import { formatAddress } from '../../transport/address.ts'
import { securedTcp } from '../../transport/secured.ts'
import { CommandError, FAILURE } from '../command-error.ts'
import type { LaunchPlan } from './plan.ts'
import { RankProcess, rankEnvironment } from './rank-process.ts'
import { retryUntilResolved } from './retry-until-resolved.ts'
import { Supervisor } from './supervisor.ts'

/**
 * @returns 0 if every rank ended with 0, else the exit code of the first that failed by itself, 128 + n for signal n; 1
 *   if one ended with 0 while others wait for it in connect()
 * @throws AdasumError ERR_STORE if the store cannot be hosted at the address given; CommandError if Node.js may start
 *   no process
 */
export async function launch(plan: LaunchPlan): Promise<number> {
  let supervisor: Supervisor | undefined
  const onWaiting = (ranks: readonly number[]): void => supervisor?.onWaiting(ranks)
  const store = plan.hostsStore ? await storeOf(plan, onWaiting) : undefined
  const storeAddress = dialledAddress(plan, store)
  // The streams of all ranks are piped into these two. So many listeners are no mistake, of which Node.js would warn.
  for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(0)
  try {
    const ranks = Array.from({ length: plan.localSize }, (_, localRank) => {
      return startRank(plan, localRank, storeAddress)
    })
    supervisor = new Supervisor(ranks)
    return await supervisor.run()
  } finally {
    await store?.close()
  }
}

function startRank(plan: LaunchPlan, localRank: number, storeAddress: string): RankProcess {
  try {
    return new RankProcess(plan, localRank, rankEnvironment(plan, localRank, storeAddress))
  } catch (error) {
    if (systemCode(error) !== 'ERR_ACCESS_DENIED') throw error
    const message =
      'Node.js may start no process here (its permission model): start the launcher with --allow-child-process, too'
    throw new CommandError(message, FAILURE)
  }
}

/** Where the ranks of this machine reach the store: as rank 0 itself would, see `dialledHost`. */
function dialledAddress(
  { store: { host, port }, listen, host: ownHost }: LaunchPlan,
  store: HostedStore | undefined,
): string {
  if (store === undefined) return formatAddress(host, port)
  if (listen === undefined) return formatAddress(store.host, store.port)
  return formatAddress(dialledHost(host, listen, ownHost), store.port)
}

function storeOf(
  { store, listen, worldSize, secret, tls }: LaunchPlan,
  onWaiting: (ranks: readonly number[]) => void,
): Promise<HostedStore> {
  const host = listen ?? store.host
  const options = { host, port: store.port, size: worldSize, secret, transport: securedTcp(secret, tls), onWaiting }
  return retryUntilResolved(host, () => hostStore(options))
}
