/** Heartbeats over real connections: whom they lose, who hears of it, and whom they do not lose. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest from 'ava'
import { neighboursOf } from '../../ts/src/heartbeat/neighbours.ts'
import { securedTcp } from '../../ts/src/transport/secured.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { dialAuthenticated } from '../../ts/src/wire/authenticated.ts'
import {
  IDENTITY,
  Relay,
  TestPulse,
  addresses,
  answering,
  freePort,
  listenAt,
  mute,
  silentPort,
  through,
} from './_pulses.ts'

// One after the other: they share this thread, and one of them holds it up.
const test = anyTest.serial

/** Long enough that a busy machine seldom holds up this thread for a quarter of it, which would put off every verdict. */
const LIMIT_MS = 1000

const ranksTo = (size: number): number[] => Array.from({ length: size }, (_, rank) => rank)

test('ranks that beat lose nobody, and nobody who leaves', async (t) => {
  const peers = await addresses(t, 5)
  const pulses = ranksTo(5).map((rank) => new TestPulse(t, rank, peers, {}))
  await sleep(3 * LIMIT_MS)
  pulses[3]!.pulse.end()
  await sleep(3 * LIMIT_MS)
  t.deepEqual(
    pulses.flatMap(({ losses }) => losses),
    [],
  )
})

test('a rank that goes silent is lost, and every rank hears of it once', async (t) => {
  const peers = await addresses(t, 12)
  await mute(t, 5, peers)
  const pulses = ranksTo(12)
    .filter((rank) => rank !== 5)
    .map((rank) => new TestPulse(t, rank, peers, {}))
  t.true(neighboursOf(5, ranksTo(12)).length < 5)
  await Promise.all(pulses.map((pulse) => pulse.hasLost(1)))
  await sleep(LIMIT_MS)
  for (const { losses } of pulses) {
    t.deepEqual(
      losses.map(({ rank }) => rank),
      [5],
    )
    t.true(neighboursOf(5, ranksTo(12)).includes(losses[0]!.seenBy))
  }
})

test('what a rank sends is swallowed: it is lost, and is told so itself', async (t) => {
  const peers = await addresses(t, 3)
  const relay = new Relay(t, peers[1]!)
  const first = new TestPulse(t, 0, await through(relay, 1, peers), {})
  // They go on hearing all others, and only learn it. Rank 1 cannot dial rank 0, so that all goes through the relay.
  const seenByRank1 = peers.with(0, { ...peers[0]!, heartbeatPort: await freePort() })
  const others = [new TestPulse(t, 1, seenByRank1, {}), new TestPulse(t, 2, peers, {})]
  await sleep(2 * LIMIT_MS)
  t.deepEqual(first.losses, [])
  relay.swallow()
  for (const pulse of [first, ...others]) t.deepEqual(await pulse.hasLost(1), [{ rank: 1, seenBy: 0 }])
})

test('a link on which nobody answers is found by calls that wait, and only while they do', async (t) => {
  const peers = await addresses(t, 12)
  const unanswered = peers.with(6, { ...peers[6]!, heartbeatPort: await silentPort(t) })
  const first = new TestPulse(t, 0, unanswered, {})
  const others = ranksTo(12)
    .slice(1)
    .map((rank) => new TestPulse(t, rank, peers, {}))
  t.false(neighboursOf(0, ranksTo(12)).includes(6))
  first.pulse.ask(6)
  first.pulse.unask(6)
  // Those that answer, or whose systems say that nobody listens there, are none.
  for (const peer of [1, 2, 3]) first.pulse.ask(peer)
  await sleep(3 * LIMIT_MS)
  t.deepEqual(first.losses, [])
  first.pulse.ask(6)
  for (const pulse of [first, ...others]) t.deepEqual(await pulse.hasLost(1), [{ rank: 6, seenBy: 0 }])
})

test('a rank that was stopped before its heartbeat could begin is lost', async (t) => {
  const peers = await addresses(t, 2)
  const only = new TestPulse(t, 0, peers, {})
  t.deepEqual(await only.hasLost(1), [{ rank: 1, seenBy: 0 }])
})

test('whoever has closed before its heartbeat was heard is not', async (t) => {
  const peers = await addresses(t, 2)
  // Nobody listens there any more.
  const gone = peers.with(1, { ...peers[1]!, port: peers[1]!.heartbeatPort! })
  const only = new TestPulse(t, 0, gone, {})
  await sleep(3 * LIMIT_MS)
  t.deepEqual(only.losses, [])
})

test('nor is one whose main thread answers, although its own thread has not begun', async (t) => {
  const peers = await addresses(t, 2)
  const answers = peers.with(1, { ...peers[1]!, port: await answering(t, 1, peers) })
  const only = new TestPulse(t, 0, answers, {})
  await sleep(3 * LIMIT_MS)
  t.deepEqual(only.losses, [])
})

test('nor is one whose ports belong to strangers', async (t) => {
  const peers = await addresses(t, 2)
  const refuse = (socket: Socket): unknown => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  const [port, heartbeatPort] = [await listenAt(t, 0, refuse), await listenAt(t, 0, refuse)]
  const only = new TestPulse(t, 0, peers.with(1, { ...peers[1]!, port, heartbeatPort }), {})
  await sleep(3 * LIMIT_MS)
  t.deepEqual(only.losses, [])
})

test('a port that is taken does no harm, since the other end of a pair may dial, too', async (t) => {
  const peers = await addresses(t, 2)
  await listenAt(t, peers[1]!.heartbeatPort!, (socket) => socket.destroy())
  const relay = new Relay(t, peers[0]!)
  const second = new TestPulse(t, 1, await through(relay, 0, peers), {})
  const first = new TestPulse(t, 0, peers, {})
  await sleep(2 * LIMIT_MS)
  t.deepEqual([first.losses, second.losses], [[], []])
  relay.swallow()
  for (const pulse of [first, second]) t.deepEqual(await pulse.hasLost(1), [{ rank: 0, seenBy: 1 }])
})

test('a thread that has not been running accuses nobody before the whole time has passed anew', async (t) => {
  const peers = await addresses(t, 2)
  await mute(t, 1, peers)
  const only = new TestPulse(t, 0, peers, {})
  await sleep(LIMIT_MS / 2)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LIMIT_MS)
  const begin = performance.now()
  t.deepEqual(only.losses, [])
  await only.hasLost(1)
  t.true(performance.now() - begin > 0.9 * LIMIT_MS, `${performance.now() - begin} ms`)
})

test('a rank whose data comes is alive, although its heartbeat is silent', async (t) => {
  const peers = await addresses(t, 2)
  await mute(t, 1, peers)
  const only = new TestPulse(t, 0, peers, {})
  const coming = setInterval(() => Atomics.add(only.heardCounts, 1, 1), 5)
  t.teardown(() => clearInterval(coming))
  await sleep(3 * LIMIT_MS)
  t.deepEqual(only.losses, [])
  clearInterval(coming)
  t.deepEqual(await only.hasLost(1), [{ rank: 1, seenBy: 0 }])
})

test('the port of a heartbeat lets in ranks of the run that come for it, and nobody else', async (t) => {
  const peers = await addresses(t, 2)
  const pulse = new TestPulse(t, 0, peers, { failureTimeoutMs: 60_000 })
  const dial = (given: object) => {
    const local = { ...IDENTITY, rank: 1, size: 2, peerRank: 0, purpose: 'heartbeat' as const, ...given }
    return dialAuthenticated(tcp, '127.0.0.1', peers[0]!.heartbeatPort!, local, AbortSignal.timeout(60_000))
  }
  // The listener opens a moment later.
  for (let pipe; !pipe; await sleep(10)) (pipe = await dial({}).catch(() => undefined))?.destroy()
  await t.throwsAsync(dial({ secret: 'another' }), { code: 'ERR_AUTH' })
  await t.throwsAsync(dial({ purpose: 'peer' }), { code: 'ERR_MISMATCH' })
  await t.throwsAsync(dial({ runId: new Uint8Array(16) }), { code: 'ERR_MISMATCH' })
  t.deepEqual(pulse.losses, [])
})

test('heartbeats are encrypted as their rank is told, in both directions', async (t) => {
  const peers = await addresses(t, 2)
  new TestPulse(t, 0, peers, { failureTimeoutMs: 60_000, tls: 'psk' })
  const local = { ...IDENTITY, rank: 1, size: 2, peerRank: 0, purpose: 'heartbeat' as const }
  const dial = (transport: Transport): Promise<Pipe> =>
    dialAuthenticated(transport, '127.0.0.1', peers[0]!.heartbeatPort!, local, AbortSignal.timeout(60_000))
  const encrypted = securedTcp(IDENTITY.secret, 'psk')
  for (let pipe; !pipe; await sleep(10)) (pipe = await dial(encrypted).catch(() => undefined))?.destroy()
  await t.throwsAsync(dial(tcp), { code: 'ERR_PEER_LOST' })
  // A pulse that is told the same dials, too: both lose a third one that is not there, and not each other.
  const three = await addresses(t, 3)
  const pulses = [0, 1].map((rank) => new TestPulse(t, rank, three, { failureTimeoutMs: LIMIT_MS, tls: 'psk' }))
  for (const pulse of pulses) t.deepEqual((await pulse.hasLost(1)).map(({ rank }) => rank), [2]) // prettier-ignore
})
