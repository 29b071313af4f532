/** Worlds of ranks in this process that reach each other over TCP alone. */
import { networkInterfaces } from 'node:os'
import test, { type ExecutionContext, type TestFn } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'
import { NODE_WAYS, type Ways } from '../../ts/src/world/ways.ts'
import { SECRET } from './_places.ts'
import { freePort } from './_ports.ts'

export const SIZE = 3

const addresses = Object.values(networkInterfaces()).flat()
/** An address of this machine beside those of the loopback interface. */
export const ownAddress: string | undefined = addresses.find(
  (each) => each?.family === 'IPv4' && !each.internal,
)?.address
/** `test` where there is one. */
export const addressTest = (ownAddress === undefined ? test.serial.skip : test.serial) as TestFn

/** The ways of a process, with something done to its transport. */
export function changedWays(change: (transport: Transport) => Transport): Ways {
  return {
    ...NODE_WAYS,
    transport: change(NODE_WAYS.transport),
    secured: (...how) => change(NODE_WAYS.secured!(...how)),
  }
}

export async function tcpWorld(
  t: ExecutionContext,
  ways: Ways,
  host: string,
  options: ConnectOptions,
  optionsOf: (rank: number) => ConnectOptions = () => ({}),
): Promise<readonly Communicator[]> {
  const store = `${host}:${await freePort()}`
  const connecting = Array.from({ length: SIZE }, (_, rank) => {
    const common = { rank, size: SIZE, store, secret: SECRET, sharedMemory: false, timeoutMs: 30_000 }
    return connectBy(ways, { ...common, ...options, ...optionsOf(rank) }, {})
  })
  t.teardown(async () => {
    for (const outcome of await Promise.allSettled(connecting))
      if (outcome.status === 'fulfilled') await outcome.value.close()
  })
  return Promise.all(connecting)
}
