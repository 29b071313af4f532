/** Ranks that do not meet: who or what is named, and by which code. */
import test from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostStore } from '../../ts/src/rendezvous/stores/tcp/host-store.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import { dialAuthenticated } from '../../ts/src/wire/authenticated.ts'
import { SECRET, fails, meet, meetingStarted, place } from './_places.ts'
import { freePort } from './_ports.ts'

test('ranks that never come are named', async (t) => {
  const port = await freePort()
  const outcomes = [0, 2].map((rank) => meet(t, place(rank, 5, port, { timeoutMs: 2000 }), tcp))
  for (const outcome of outcomes) {
    const error = await fails(t, 'ERR_TIMEOUT', outcome)
    t.regex(error.message, /^ranks 1, 3, 4 did not come to the store at 127\.0\.0\.1:\d+ within 2000 ms \(2 of 5/)
  }
})

test('ranks that gave up a moment earlier are not among those who never came', async (t) => {
  const store = await hostStore({ host: '127.0.0.1', port: 0, size: 6, secret: SECRET })
  t.teardown(() => store.close())
  const outcomes = [2400, 2000, 2000].map((timeoutMs, rank) =>
    meet(t, place(rank, 6, store.port, { timeoutMs, hostsStore: false }), tcp),
  )
  for (const error of await Promise.all(outcomes.map((outcome) => fails(t, 'ERR_TIMEOUT', outcome)))) {
    t.regex(error.message, /^ranks 3, 4, 5 did not come .* \(3 of 6 ranks came\): check that all were started$/)
    t.is(error.peerRank, 3)
  }
})

test('where all came, but not at the same time, those who left again are named as such', async (t) => {
  const store = await hostStore({ host: '127.0.0.1', port: 0, size: 2, secret: SECRET })
  t.teardown(() => store.close())
  const mine = { hostsStore: false }
  await fails(t, 'ERR_TIMEOUT', meet(t, place(1, 2, store.port, { ...mine, timeoutMs: 1000 }), tcp))
  const error = await fails(t, 'ERR_TIMEOUT', meet(t, place(0, 2, store.port, { ...mine, timeoutMs: 1000 }), tcp))
  t.regex(error.message, /^rank 1 came to the store at .* and left again, and did not come back within 1000 ms/)
})

test('a rank that waits in vain says which connections were refused meanwhile', async (t) => {
  const port = await freePort()
  const waiting = meet(t, place(0, 2, port, { timeoutMs: 3000 }), tcp)
  waiting.catch(() => {})
  await fails(t, 'ERR_AUTH', meet(t, place(1, 2, port, { secret: 'other' }), tcp))
  const error = await fails(t, 'ERR_TIMEOUT', waiting)
  const refusal = /; 1 connection was refused: 127\.0\.0\.1:\d+ and the store have different secrets: give all ranks/
  t.regex(error.message, refusal)
})

test('a port counts the connections that it refuses', async (t) => {
  const network = createMemoryTransport()
  const [zero] = await Promise.all([0, 1].map((rank) => meet(t, place(rank, 2, 29500), network)))
  const { host, port } = zero!.peers[0]!
  const identity = { runId: zero!.runId, rank: 1, size: 2, peerRank: 0, purpose: 'peer', secret: 'other' } as const
  t.is(zero!.port.refusals.count, 0)
  await t.throwsAsync(dialAuthenticated(network, host, port, identity))
  while (zero!.port.refusals.count === 0) await sleep(5)
  t.regex(zero!.port.refusals.last, /and rank 0 have different secrets/)
})

test('an unreachable store is named, with what the system said', async (t) => {
  const port = await freePort()
  const error = await fails(t, 'ERR_STORE', meet(t, place(1, 2, port, { timeoutMs: 300 }), tcp))
  const what = `the store at 127.0.0.1:${port} could not be reached within 300 ms \\(ECONNREFUSED\\): check that rank 0`
  t.regex(error.message, new RegExp(`^${what}`))
})

test('a port in use is named', async (t) => {
  const other = await tcp.listen('127.0.0.1', 0, (pipe) => pipe.destroy())
  t.teardown(() => other.close())
  const error = await fails(t, 'ERR_STORE', meet(t, place(0, 2, other.port), tcp))
  t.regex(error.message, new RegExp(`127.0.0.1:${other.port} \\(EADDRINUSE\\)`))
})

test('a second rank 0 learns that its rank is taken; a store of another run is just a port in use', async (t) => {
  // Not by rendezvous, since the stores of one process are shared.
  const store = await hostStore({ host: '127.0.0.1', port: 0, size: 2, secret: SECRET })
  t.teardown(() => store.close())
  const error = await fails(t, 'ERR_RANK_TAKEN', meet(t, place(0, 2, store.port), tcp))
  t.regex(error.message, new RegExp(`^the store at 127.0.0.1:${store.port} is hosted already, by another rank 0`))
  for (const change of [{ secret: 'other' }, { jobId: new Uint8Array(16).fill(1) }])
    await fails(t, 'ERR_STORE', meet(t, place(0, 2, store.port, change), tcp))
  // The question has taken nobody's place.
  const ranks = [0, 1].map((rank) => meet(t, place(rank, 2, store.port, { hostsStore: false }), tcp))
  await t.notThrowsAsync(Promise.all(ranks))
})

test('a port whose program is silent is a port in use, also where the time is up meanwhile', async (t) => {
  const pipes: Pipe[] = []
  const silent = await tcp.listen('127.0.0.1', 0, (pipe) => pipes.push(pipe))
  t.teardown(async () => {
    for (const pipe of pipes) pipe.destroy()
    await silent.close()
  })
  for (const timeoutMs of [300, 20_000]) {
    const error = await fails(t, 'ERR_STORE', meet(t, place(0, 2, silent.port, { timeoutMs }), tcp))
    t.regex(error.message, /\(EADDRINUSE\): another program or another run has this port/)
  }
})

test('a wrong secret, size or second claim to a rank is refused by code', async (t) => {
  const port = await freePort()
  const held = await meetingStarted(t, port)
  await fails(t, 'ERR_AUTH', meet(t, place(1, 2, port, { secret: 'other' }), tcp))
  t.regex((await fails(t, 'ERR_WORLD_SIZE', meet(t, place(1, 3, port), tcp))).message, /world size 2.*3/)
  await fails(t, 'ERR_RANK_TAKEN', meet(t, place(0, 2, port, { hostsStore: false }), tcp))
  held.abort()
})

test('without a secret only loopback is used, on both sides', async (t) => {
  const far = { store: { host: '10.0.0.1', ports: [29500] }, secret: '' }
  const network = createMemoryTransport()
  for (const rank of [0, 1]) {
    const error = await fails(t, 'ERR_AUTH', meet(t, place(rank, 2, 1, far), network))
    t.regex(error.message, /ADASUM_SECRET/)
  }
})

test('loopback among other addresses is refused on every rank, with both addresses', async (t) => {
  const network = createMemoryTransport()
  const outcomes = [0, 1].map((rank) => meet(t, place(rank, 2, 29500, rank === 1 ? { host: '10.0.0.2' } : {}), network))
  for (const outcome of outcomes) {
    const error = await fails(t, 'ERR_ENVIRONMENT', outcome)
    t.regex(error.message, /rank 0 at 127\.0\.0\.1:\d+.*rank 1 at 10\.0\.0\.2:\d+/)
  }
})

test('an address that this machine does not have is named', async (t) => {
  const port = await freePort()
  const held = await meetingStarted(t, port)
  const error = await fails(t, 'ERR_ENVIRONMENT', meet(t, place(1, 2, port, { host: '203.0.113.7' }), tcp))
  t.regex(error.message, /203\.0\.113\.7.*EADDRNOTAVAIL.*ADASUM_HOST/)
  held.abort()
})

test('an abort ends it with ERR_ABORTED, whatever it waits for', async (t) => {
  const network = createMemoryTransport()
  const reason = new Error('user')
  for (const delay of [0, 5, 50]) {
    const hosting = meet(t, place(0, 2, 29500), network, { signal: AbortSignal.timeout(delay) })
    const dialling = meet(t, place(1, 2, 29501), network, { signal: AbortSignal.timeout(delay) })
    await fails(t, 'ERR_ABORTED', hosting)
    await fails(t, 'ERR_ABORTED', dialling)
  }
  const error = await fails(
    t,
    'ERR_ABORTED',
    meet(t, place(0, 2, 29500), network, { signal: AbortSignal.abort(reason) }),
  )
  t.is(error.cause, reason)
  await sleep(50)
  t.is(network.pipes.size, 0)
  await (await network.listen('127.0.0.1', 29500, () => {})).close()
})
