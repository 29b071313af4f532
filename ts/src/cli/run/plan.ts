/** Turns the command line into the plan of a launch. Every check that can fail stands here, before anything runs. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { listenSetting, MAX_WORLD_SIZE } from '../../rendezvous/environment.ts'
import { readSecret, readSecretFile } from '../../rendezvous/secret.ts'
import { resolveTls } from '../../rendezvous/tls-setting.ts'
import type { TlsSetting } from '../../transport/tls.ts'
import { type Address, parseAddress } from '../../transport/address.ts'
import { addressesOf, firstOf, systemLookup } from '../../transport/names.ts'
import { CommandError } from '../command-error.ts'
import { retryUntilResolved } from './retry-until-resolved.ts'
import { loaderOptions, resolveScript } from './script.ts'
import { deviceVariables } from './share-of-machine.ts'

/** The options as commander gives them. */
export interface RunOptions {
  ranks?: number
  only?: number
  nodeOption: string[]
  nodes: number
  node: number
  store?: string
  host?: string
  listen?: string
  secretFile?: string
  gpusPerRank?: number
}

export interface LaunchPlan {
  /** What follows `node` on the command line of every rank. */
  nodeArguments: readonly string[]
  localSize: number
  /** Rank of the first process on this machine. */
  firstRank: number
  worldSize: number
  /** Where the store is, or is to be hosted; port 0 stands for any free one. */
  store: Address
  hostsStore: boolean
  /** Address at which the launcher hosts the store, if that is not `store`. */
  listen: string | undefined
  secret: string
  /** How the launcher's store encrypts; the ranks read the same variable. */
  tls: TlsSetting
  /** Address at which the ranks of this machine listen; absent: their own default. */
  host: string | undefined
  /** The only rank whose output is shown, without a prefix; undefined: that of all ranks is shown. */
  onlyRank: number | undefined
  /** What each rank of this machine has in its environment for devices of its own, by local rank. */
  deviceVariables: readonly NodeJS.ProcessEnv[]
}

/** @throws CommandError for whatever would make the ranks fail at once */
export async function planLaunch(
  script: string,
  args: readonly string[],
  options: RunOptions,
  environment: NodeJS.ProcessEnv,
): Promise<LaunchPlan> {
  // Checked here, for commander would complain of this before it names a misspelt option.
  if (options.ranks === undefined) throw new CommandError('-n <count> is missing: how many ranks to start here')
  const worldSize = options.ranks * options.nodes
  checkRanks(options, worldSize)
  const scriptPath = resolveScript(script)
  const store = storeAddress(options)
  const secret = secretOf(options, environment)
  return {
    nodeArguments: [...options.nodeOption, ...loaderOptions(scriptPath), scriptPath, ...args],
    localSize: options.ranks,
    firstRank: options.node * options.ranks,
    worldSize,
    store,
    hostsStore: options.node === 0,
    listen: listenAddress(options, environment),
    secret,
    tls: resolveTls(undefined, environment['ADASUM_TLS']),
    host: options.host ?? environment['ADASUM_HOST'] ?? (options.nodes > 1 ? await addressTowards(store) : undefined),
    onlyRank: options.only,
    deviceVariables: deviceVariables(options.gpusPerRank, options.ranks, environment),
  }
}

function checkRanks({ node, nodes, only, ranks }: RunOptions, worldSize: number): void {
  if (worldSize > MAX_WORLD_SIZE) {
    throw new CommandError(
      `-n ${ranks} on --nodes ${nodes} makes ${worldSize} ranks, but this version connects at most ${MAX_WORLD_SIZE} in all`,
    )
  }
  if (node >= nodes) {
    throw new CommandError(`--node ${node} is not among --nodes ${nodes}: they are counted from 0 to ${nodes - 1}`)
  }
  if (only !== undefined && only >= worldSize) {
    throw new CommandError(`--only ${only} is no rank: they are counted from 0 to ${worldSize - 1}`)
  }
}

function storeAddress({ store, nodes }: RunOptions): Address {
  if (store === undefined) {
    if (nodes === 1) return { host: '127.0.0.1', port: 0 }
    throw new CommandError(`--nodes ${nodes} needs --store host:port, an address of node 0 that the others reach`)
  }
  const address = parseAddress(store)
  if (address === undefined) throw new CommandError(`--store ${store} is not host:port or [IPv6]:port`)
  if (nodes > 1 && address.port === 0) {
    throw new CommandError(`--store ${store} needs a port other than 0: the other machines must know it beforehand`)
  }
  return address
}

/** Where the store is hosted if its address is not this machine's own. Without --store it always is. */
function listenAddress({ listen, store }: RunOptions, environment: NodeJS.ProcessEnv): string | undefined {
  if (store !== undefined) return checkListen(listen, environment)
  if (listen === undefined) return undefined
  throw new CommandError(`--listen ${listen} needs --store host:port, the address at which the ranks reach it`)
}

function checkListen(listen: string | undefined, environment: NodeJS.ProcessEnv): string | undefined {
  try {
    return listenSetting(listen, '--listen', environment)
  } catch (error) {
    throw new CommandError((error as Error).message)
  }
}

/** A new secret for ranks on one machine. For several it must be given, because all launchers must have the same. */
function secretOf({ nodes, secretFile }: RunOptions, environment: NodeJS.ProcessEnv): string {
  if (secretFile !== undefined) return secretIn(secretFile)
  if (nodes === 1) return randomBytes(32).toString('hex')
  const secret = readSecret(undefined, environment)
  if (secret !== '') return secret
  throw new CommandError(
    `--nodes ${nodes} needs one secret for all machines, in ADASUM_SECRET or --secret-file; make one with: adasum secret`,
  )
}

function secretIn(path: string): string {
  let secret: string
  try {
    secret = readSecretFile(path)
  } catch (error) {
    throw new CommandError(`--secret-file cannot be read: ${(error as Error).message}`)
  }
  if (secret === '') throw new CommandError(`--secret-file ${path} is empty; make one with: adasum secret`)
  return secret
}

/** The address this machine sends from on its way to the store, hence one at which the others reach it. */
async function addressTowards({ host, port }: Address): Promise<string> {
  try {
    const addresses = await retryUntilResolved(host, (signal) => addressesOf(host, systemLookup, signal))
    return await firstOf(
      addresses,
      (address) => sourceAddress(address, port),
      () => undefined,
    )
  } catch (error) {
    throw new CommandError(`there is no route to --store ${host}: ${(error as Error).message}`)
  }
}

async function sourceAddress(address: string, port: number): Promise<string> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  try {
    // Connecting a datagram socket only looks up the route; nothing is sent.
    socket.connect(port, address)
    await once(socket, 'connect')
    return socket.address().address
  } finally {
    socket.close()
  }
}
