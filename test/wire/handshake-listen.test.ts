import test, { type ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { AdasumError, systemCode } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Listener, Pipe, Transport } from '../../ts/src/transport/transport.ts'
import type { ListenIdentity, ListenOptions } from '../../ts/src/wire/acceptor.ts'
import { dialAuthenticated, listenAuthenticated, requireSecret } from '../../ts/src/wire/authenticated.ts'
import {
  HELLO_BYTE_LENGTH,
  STATUS,
  VERDICT_BYTE_LENGTH,
  decodePrefix,
  encodeHello,
  encodeNotice,
} from '../../ts/src/wire/handshake-format.ts'
import { type DialIdentity, dialHandshake, lingerAndClose } from '../../ts/src/wire/handshake.ts'
import { Collector, write } from '../transport/_compliance.ts'

const runId = new Uint8Array(16).fill(3)
const here: ListenIdentity = { runId, rank: 0, size: 2, purpose: 'peer', secret: 'k' }
const there: DialIdentity = { runId, rank: 1, size: 2, peerRank: 0, purpose: 'peer', secret: 'k' }

interface Port {
  listener: Listener
  peers: { rank: number; pipe: Pipe }[]
  refusals: unknown[]
}

async function open(
  t: ExecutionContext,
  transport: Transport,
  local: ListenIdentity = here,
  options: ListenOptions = {},
): Promise<Port> {
  const port: Omit<Port, 'listener'> = { peers: [], refusals: [] }
  const onPeer = (rank: number, pipe: Pipe) => port.peers.push({ rank, pipe })
  const onRefused = (error: unknown) => port.refusals.push(error)
  const listener = await listenAuthenticated(transport, '127.0.0.1', 0, local, onPeer, { onRefused, ...options })
  t.teardown(async () => {
    await listener.close()
    for (const { pipe } of port.peers) pipe.destroy()
  })
  return { ...port, listener }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

test('ranks come in with their pipes; the rest is refused and forgotten', async (t) => {
  const { listener, peers, refusals } = await open(t, tcp)
  const wrong = await t.throwsAsync<AdasumError>(
    dialAuthenticated(tcp, '127.0.0.1', listener.port, { ...there, secret: 'x' }),
  )
  t.is(wrong.code, 'ERR_AUTH')
  const stranger = await tcp.dial('127.0.0.1', listener.port)
  await write(stranger, Buffer.from('GET / HTTP/1.0\r\n\r\n'))
  stranger.setSink(new Collector())
  await until(() => refusals.length === 2)
  stranger.destroy()
  const pipe = await dialAuthenticated(tcp, '127.0.0.1', listener.port, there)
  pipe.write(Buffer.from('hello'))
  await until(() => peers.length === 1)
  const sink = new Collector()
  t.is(peers[0]!.rank, 1)
  peers[0]!.pipe.setSink(sink)
  await sink.has(5)
  pipe.destroy()
})

test('without a secret, or with one that can be guessed, only loopback is listened on', async (t) => {
  for (const host of ['0.0.0.0', '::', '10.1.2.3', 'node1']) {
    const refused = listenAuthenticated(tcp, host, 0, { ...here, secret: '' }, () => {})
    const error = await t.throwsAsync<AdasumError>(refused)
    t.is(error.code, 'ERR_AUTH')
    t.true(error.message.includes(host))
    t.notThrows(() => requireSecret(host, 'f0e1d2c3b4a5968778695a4b3c2d1e0f'))
    const weak = t.throws<AdasumError>(() => requireSecret(host, 'f0e1d2c3b4a5968778695a4b3c2d1e0'))
    t.is(weak.code, 'ERR_AUTH')
    t.regex(weak.message, /124 bits of apparent strength, less than 128: .* adasum secret/)
  }
  for (const host of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) t.notThrows(() => requireSecret(host, ''))
  for (const host of ['127.0.0.1', 'localhost']) t.notThrows(() => requireSecret(host, 'k'))
})

/** Places in handshakes, for a world of two. */
const PLACES = 4 * 2 + 128

async function strangersAt(transport: Transport, { port }: Listener, count: number): Promise<Collector[]> {
  const pipes = await Promise.all(Array.from({ length: count }, () => transport.dial('127.0.0.1', port)))
  return pipes.map((pipe) => {
    const sink = new Collector()
    pipe.setSink(sink)
    return sink
  })
}

test('a newcomer takes the place of the oldest that has said nothing, which is told to try again', async (t) => {
  const network = createMemoryTransport()
  const { listener, peers } = await open(t, network)
  const known = await network.dial('127.0.0.1', listener.port)
  const answers = new Collector()
  known.setSink(answers)
  await write(known, encodeHello({ ...there, role: 'dialler', nonce: new Uint8Array(32).fill(1) }))
  await answers.has(HELLO_BYTE_LENGTH)
  const strangers = await strangersAt(network, listener, PLACES)
  await strangers[0]!.finished
  t.is(decodePrefix(strangers[0]!.bytes)?.tag, STATUS.busy)
  t.deepEqual([strangers[1]!.endings, answers.endings], [0, 0])
  const pipe = await dialAuthenticated(network, '127.0.0.1', listener.port, there)
  await until(() => peers.length === 1)
  await strangers[1]!.finished
  t.deepEqual([strangers[2]!.endings, answers.endings], [0, 0])
  pipe.destroy()
  for (const each of network.pipes) each.destroy()
})

test('of those that have said nothing, the address goes first that has the most', async (t) => {
  const network = createMemoryTransport()
  const named: Transport = {
    ...network,
    name: 'memory',
    dial: (host, port, signal) => network.dial(host, port, signal),
    listen: (host, port, accept) =>
      network.listen(host, port, (pipe) => {
        // The first two come from elsewhere.
        const address = count++ < 2 ? `10.0.0.${count}:1` : pipe.remoteAddress
        accept(new Proxy(pipe, { get: (of, key) => (key === 'remoteAddress' ? address : bound(of, key)) }))
      }),
  }
  let count = 0
  const { listener } = await open(t, named)
  const strangers = await strangersAt(network, listener, PLACES + 5)
  await strangers[6]!.finished
  t.deepEqual(
    strangers.slice(0, 8).map(({ endings }) => endings),
    [0, 0, 1, 1, 1, 1, 1, 0],
  )
  for (const each of network.pipes) each.destroy()
})

/** A property of a pipe, for a proxy: its methods are called on the pipe. */
function bound(pipe: Pipe, key: string | symbol): unknown {
  const value: unknown = Reflect.get(pipe, key, pipe)
  return typeof value === 'function' ? (value.bind(pipe) as unknown) : value
}

test('where all have said who they are, the oldest makes room: nobody is kept out', async (t) => {
  const network = createMemoryTransport()
  const { listener, peers, refusals } = await open(t, network)
  const pipes = await Promise.all(Array.from({ length: PLACES }, () => network.dial('127.0.0.1', listener.port)))
  const sinks = pipes.map((pipe, i) => {
    const sink = new Collector()
    pipe.setSink(sink)
    pipe.write(encodeHello({ ...there, role: 'dialler', nonce: new Uint8Array(32).fill(i + 1) }))
    return sink
  })
  await Promise.all(sinks.map((sink) => sink.has(HELLO_BYTE_LENGTH)))
  const pipe = await dialAuthenticated(network, '127.0.0.1', listener.port, there)
  await until(() => peers.length === 1)
  await sinks[0]!.finished
  t.is(sinks[0]!.bytes.at(-VERDICT_BYTE_LENGTH), STATUS.busy)
  t.is(sinks[1]!.endings, 0)
  // It made room at once: one whose time is up is told the same, but counts as refused.
  t.deepEqual(refusals, [])
  pipe.destroy()
  for (const each of network.pipes) each.destroy()
})

test('over TCP a connection is in no handshake before its first byte has come', async (t) => {
  const { listener, refusals } = await open(t, tcp, here, { handshakeTimeoutMs: 50 })
  const [silent, slow] = await Promise.all([1, 2].map(() => tcp.dial('127.0.0.1', listener.port)))
  for (const pipe of [silent!, slow!]) pipe.setSink(new Collector())
  await write(slow!, Buffer.from('A'))
  await until(() => refusals.length > 0)
  await sleep(150)
  t.deepEqual(
    refusals.map((error) => (error as AdasumError).code),
    ['ERR_TIMEOUT'],
  )
  silent!.destroy()
  slow!.destroy()
})

test('a dial that is turned away again and again goes on until its limit', async (t) => {
  let turnedAway = 0
  const listener = await tcp.listen('127.0.0.1', 0, (pipe) => {
    turnedAway++
    lingerAndClose(pipe, encodeNotice('busy'))
  })
  t.teardown(() => listener.close())
  const controller = new AbortController()
  const reason = new Error('enough')
  const dialling = dialAuthenticated(tcp, '127.0.0.1', listener.port, there, controller.signal)
  await until(() => turnedAway >= 4)
  controller.abort(reason)
  t.is(await t.throwsAsync(dialling), reason)
})

test('a flood leaves nothing behind, and has at most twice as many connections as there are places', async (t) => {
  const network = createMemoryTransport()
  const { listener } = await open(t, network)
  const count = 3 * PLACES
  const flood = await Promise.all(Array.from({ length: count }, () => network.dial('127.0.0.1', listener.port)))
  await sleep(20)
  const sinks = flood.map((pipe) => {
    const sink = new Collector()
    pipe.setSink(sink)
    return sink
  })
  await Promise.all(sinks.slice(0, count - PLACES).map((sink) => sink.finished))
  t.true(sinks.slice(count - PLACES).every(({ endings }) => endings === 0))
  await listener.close()
  for (const pipe of flood) pipe.destroy()
  await Promise.all(flood.map((pipe) => pipe.closed))
  await until(() => network.pipes.size === 0)
})

test('a dialler that was too slow tries again and gets in', async (t) => {
  let know: (id: Uint8Array) => void = () => {}
  const pending = new Promise<Uint8Array>((resolve) => (know = resolve))
  const { listener, peers, refusals } = await open(t, tcp, { ...here, runId: pending }, { handshakeTimeoutMs: 50 })
  const dialling = dialAuthenticated(tcp, '127.0.0.1', listener.port, there, AbortSignal.timeout(20_000))
  await until(() => refusals.length >= 2)
  know(runId)
  const pipe = await dialling
  t.is(peers[0]!.rank, 1)
  t.true(refusals.every((error) => error instanceof AdasumError && error.code === 'ERR_TIMEOUT'))
  pipe.destroy()
})

test('closing cuts off those that say nothing and spares those inside', async (t) => {
  const network = createMemoryTransport()
  const { listener, peers } = await open(t, network)
  const inside = await dialAuthenticated(network, '127.0.0.1', listener.port, there)
  const stranger = await network.dial('127.0.0.1', listener.port)
  const sink = new Collector()
  stranger.setSink(sink)
  await listener.close()
  t.truthy(await sink.finished)
  await stranger.closed
  t.is(peers.length, 1)
  const far = new Collector()
  peers[0]!.pipe.setSink(far)
  await write(inside, Buffer.from('still'))
  t.is(far.byteLength, 5)
  t.is(network.pipes.size, 2)
  inside.destroy()
})

for (const [name, create] of [
  ['memory', () => createMemoryTransport({ maxChunkByteLength: 40, seed: 5 })],
  ['tcp', () => tcp],
] as const)
  test(`${name}: a rank in the middle of its handshake gets in while the listener closes, which waits for it`, async (t) => {
    const transport = create()
    const { listener, peers } = await open(t, transport)
    const pipe = await transport.dial('127.0.0.1', listener.port)
    const dialling = dialHandshake(pipe, there)
    const closing = listener.close()
    await dialling
    await closing
    t.is(peers.length, 1)
    pipe.destroy()
  })

test('one that says who it is and then nothing holds up the close for a moment only', async (t) => {
  const { listener, peers } = await open(t, tcp)
  const pipe = await tcp.dial('127.0.0.1', listener.port)
  const sink = new Collector()
  pipe.setSink(sink)
  await write(pipe, encodeHello({ ...there, role: 'dialler', nonce: new Uint8Array(32).fill(1) }))
  await sink.has(HELLO_BYTE_LENGTH)
  await listener.close()
  await sink.finished
  t.is(peers.length, 0)
  pipe.destroy()
})

test('a port where nobody listens is a lost peer, with the system’s error as the cause', async (t) => {
  const { listener } = await open(t, tcp)
  await listener.close()
  const error = await t.throwsAsync<AdasumError>(dialAuthenticated(tcp, '127.0.0.1', listener.port, there))
  t.is(error.code, 'ERR_PEER_LOST')
  t.is(error.peerRank, 0)
  t.is(systemCode(error.cause), 'ECONNREFUSED')
  const reason = new Error('stop')
  const aborted = dialAuthenticated(tcp, '127.0.0.1', listener.port, there, AbortSignal.abort(reason))
  t.is(await t.throwsAsync(aborted), reason)
})

test('a machine that is silent is dialled twice; one that has turned up in between counts anew', async (t) => {
  const network = createMemoryTransport()
  const { listener, peers } = await open(t, network)
  const timedOut = (): never => {
    throw Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })
  }
  let dials = 0
  const silent: Transport = {
    name: 'memory',
    listen: network.listen.bind(network),
    dial: async () => {
      dials++
      return timedOut()
    },
  }
  const error = await t.throwsAsync<AdasumError>(dialAuthenticated(silent, '127.0.0.1', listener.port, there))
  t.is(error.code, 'ERR_PEER_LOST')
  t.is(error.peerRank, 0)
  t.regex(error.message, /rank 0 cannot be reached at 127\.0\.0\.1:\d+ \(ETIMEDOUT\)/)
  t.is(dials, 2)
  // Silent, then busy, then silent again, then there.
  const busy = await network.listen('127.0.0.1', 0, (pipe) => lingerAndClose(pipe, encodeNotice('busy')))
  let turn = 0
  const flapping: Transport = {
    ...silent,
    dial: async (host, port, signal) => {
      turn++
      return turn % 2 === 1 && turn < 4 ? timedOut() : network.dial(host, turn === 2 ? busy.port : port, signal)
    },
  }
  const pipe = await dialAuthenticated(flapping, '127.0.0.1', listener.port, there)
  await until(() => peers.length === 1)
  t.is(turn, 4)
  pipe.destroy()
  await busy.close()
})
