/**
 * Each collective as the only one before close, over real sockets: a sample of what `npm run test:closing` does. Nothing fails, and
 * nothing stands still until some limit comes to help.
 */
import { join } from 'node:path'
import test from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import { onAll } from '../_world.ts'
import { ROOT, compile, runAdasum } from '../cli/_adasum.ts'
import { freePort } from '../rendezvous/_ports.ts'
import { CALLS } from './_calls.mjs'

compile()

const RANK = join(ROOT, 'test', 'closing', '_rank.mjs')
/** Twice a link would wait for an explanation of its peer's end before it went on. */
const STALL_MS = 1800

const NAMES = Object.keys(CALLS)
const TRANSPORTS: [name: string, env: Record<string, string>][] = [
  ['tcp', { ADASUM_SHARED_MEMORY: '0' }],
  ...(HAS_SHARED_MEMORY ? [['shared memory', {}] as [string, Record<string, string>]] : []),
]

for (const [transport, env] of TRANSPORTS) {
  for (const [size, worlds] of [
    [2, 6],
    [4, 3],
  ] as const)
    test.serial(`${transport}, ${size} processes: ${worlds} worlds for each collective`, async (t) => {
      const args = ['run', '-n', `${size}`, RANK, `${worlds}`, `${STALL_MS}`, ...NAMES]
      const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
      t.is(exitCode, 0, stderr)
      t.is(stdout, '')
    })

  test.serial(`${transport}: fresh processes, one world each`, async (t) => {
    for (const [size, name] of [
      [3, 'broadcast'],
      [4, 'broadcast'],
      [3, 'long group broadcast'],
      [5, 'message'],
    ] as const) {
      const args = ['run', '-n', `${size}`, RANK, '1', `${STALL_MS}`, name]
      const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
      t.is(exitCode, 0, stderr)
      t.is(stdout, '')
    }
  })
}

test.serial('several connections for each direction', async (t) => {
  const env = { ADASUM_SHARED_MEMORY: '0', ADASUM_TUNING: 'connectionsPerPeer=3' }
  const args = ['run', '-n', '3', RANK, '3', `${STALL_MS}`, ...NAMES]
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
  t.is(exitCode, 0, stderr)
  t.is(stdout, '')
})

// ---- ranks that have closed before another one was in touch with them: they are named, and nobody else is
// One world at a time: news of departures has 750 ms, of which twenty worlds in one process would take most.

const DEPARTED_LIMIT_MS = 3000

const NETWORKS: Record<string, { transport: () => Transport; sharedMemory: boolean }> = {
  memory: { transport: () => createMemoryTransport(), sharedMemory: false },
  tcp: { transport: () => tcp, sharedMemory: false },
  'shared memory': { transport: () => tcp, sharedMemory: true },
}

async function world(size: number, { transport, sharedMemory }: (typeof NETWORKS)[string]): Promise<Communicator[]> {
  const port = await freePort()
  const network = transport()
  const options = { size, store: `127.0.0.1:${port}`, sharedMemory, timeoutMs: 20_000 }
  return Promise.all(
    Array.from({ length: size }, (_, rank) => connectBy({ transport: network }, { ...options, rank }, {})),
  )
}

for (const [name, network] of Object.entries(NETWORKS)) {
  // Rank 0 has the store; the ranks that leave are those that others would ask.
  for (const leaving of [[0], [2], [0, 2], [2, 0], [0, 1]])
    test.serial(`${name}: of four, ranks ${leaving.join(' and ')} close before anybody needed them`, async (t) => {
      const ranks = await world(4, network)
      for (const rank of leaving) await ranks[rank]!.close()
      const others = ranks.filter(({ rank }) => !leaving.includes(rank))
      const begin = performance.now()
      const errors = await Promise.all(others.map((comm) => t.throwsAsync<AdasumError>(comm.barrier())))
      t.true(performance.now() - begin < DEPARTED_LIMIT_MS)
      for (const error of errors) {
        t.is(error?.code, 'ERR_PEER_LOST')
        t.true(leaving.includes(error.peerRank!), `${error?.peerRank}: ${error?.message}`)
        t.regex(error.message, new RegExp(`^[Rr]ank ${error.peerRank} .*closed its communicator,? after collective #0`))
      }
      await Promise.all(ranks.map((comm) => comm.close()))
    })

  test.serial(`${name}: a call that does not need the rank that has closed works`, async (t) => {
    const ranks = await world(4, network)
    await ranks[1]!.close()
    const others = ranks.filter(({ rank }) => rank !== 1)
    const message = Promise.all([
      ranks[2]!.send(Float32Array.of(5), { to: 3 }),
      ranks[3]!.receive(new Float32Array(1), { from: 2 }),
    ])
    t.is((await message)[1][0], 5)
    await Promise.all(others.map((comm) => comm.close()))
  })

  test.serial(`${name}: a rank that has closed is named to one that it was never in touch with`, async (t) => {
    const ranks = await world(3, network)
    // It says goodbye to rank 0 alone, and leaves it to that rank to tell others.
    await Promise.all([
      ranks[2]!.send(Float32Array.of(5), { to: 0 }),
      ranks[0]!.receive(new Float32Array(1), { from: 2 }),
    ])
    await ranks[2]!.close()
    const error = await t.throwsAsync<AdasumError>(ranks[1]!.receive(new Float32Array(1), { from: 2 }))
    t.is(error?.code, 'ERR_PEER_LOST')
    t.regex(error.message, /^[Rr]ank 2 .* has closed its communicator, after collective #/)
    await Promise.all(ranks.map((comm) => comm.close()))
  })

  test.serial(`${name}: a rank that has been in touch and closes is missed by those only that need it`, async (t) => {
    const ranks = await world(3, network)
    await onAll(ranks, (comm) => comm.barrier())
    await ranks[2]!.close()
    const message = Promise.all([
      ranks[0]!.send(Float32Array.of(5), { to: 1 }),
      ranks[1]!.receive(new Float32Array(1), { from: 0 }),
    ])
    t.is((await message)[1][0], 5)
    const error = await t.throwsAsync<AdasumError>(ranks[0]!.barrier())
    t.regex(error.message, /^Rank 2 .* closed its communicator after collective #1; barrier #2 needs it/)
    await Promise.all(ranks.map((comm) => comm.close()))
  })
}

test.serial(
  'a group in which a rank of the world is missed that has closed: it is named by both numbers',
  async (t) => {
    const ranks = await world(3, NETWORKS['memory']!)
    const groups = await onAll(ranks, (comm) => comm.split(0, -comm.rank))
    await ranks[2]!.close()
    const error = await t.throwsAsync<AdasumError>(groups[0]!.barrier())
    t.is(error?.code, 'ERR_PEER_LOST')
    t.is(error?.peerRank, 0)
    t.regex(error.message, /^Rank 0 .*in the group of color 0.* closed its communicator/)
    await Promise.all(ranks.map((comm) => comm.close()))
  },
)
