import test, { type ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { AdasumError, systemCode } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../../ts/src/transport/memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Listener, Pipe, Transport } from '../../ts/src/transport/transport.ts'
import {
  dialAuthenticated,
  listenAuthenticated,
  requireSecret,
  type ListenIdentity,
  type ListenOptions,
} from '../../ts/src/wire/authenticated.ts'
import { decodePrefix, STATUS } from '../../ts/src/wire/handshake-format.ts'
import type { DialIdentity } from '../../ts/src/wire/handshake.ts'
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

test('without a secret only loopback is listened on', async (t) => {
  for (const host of ['0.0.0.0', '::', '10.1.2.3', 'node1']) {
    const refused = listenAuthenticated(tcp, host, 0, { ...here, secret: '' }, () => {})
    const error = await t.throwsAsync<AdasumError>(refused)
    t.is(error.code, 'ERR_AUTH')
    t.true(error.message.includes(host))
    t.notThrows(() => requireSecret(host, 'k'))
  }
  for (const host of ['127.0.0.1', '127.0.0.2', '::1', 'localhost']) t.notThrows(() => requireSecret(host, ''))
})

test('more than 2 size + 16 strangers are sent away; ranks get in once there is room', async (t) => {
  const { listener, peers } = await open(t, tcp, here, { handshakeTimeoutMs: 400 })
  const strangers = await Promise.all(Array.from({ length: 2 * 2 + 16 }, () => tcp.dial('127.0.0.1', listener.port)))
  const sinks = strangers.map((pipe) => {
    const sink = new Collector()
    pipe.setSink(sink)
    return sink
  })
  const surplus = await tcp.dial('127.0.0.1', listener.port)
  const told = new Collector()
  surplus.setSink(told)
  await told.finished
  t.is(decodePrefix(told.bytes)?.tag, STATUS.busy)
  surplus.destroy()
  const pipe = await dialAuthenticated(tcp, '127.0.0.1', listener.port, there, AbortSignal.timeout(20_000))
  await until(() => peers.length === 1)
  await Promise.all(sinks.map((sink) => sink.finished))
  for (const stranger of strangers) stranger.destroy()
  pipe.destroy()
  t.pass()
})

test('a flood far beyond the limit is dropped without a word', async (t) => {
  const network = createMemoryTransport()
  const { listener } = await open(t, network)
  const flood = await Promise.all(Array.from({ length: 60 }, () => network.dial('127.0.0.1', listener.port)))
  const sinks = flood.map((pipe) => {
    const sink = new Collector()
    pipe.setSink(sink)
    return sink
  })
  await Promise.all(sinks.slice(20).map((sink) => sink.finished))
  t.deepEqual(
    sinks.slice(20, 40).map((sink) => sink.byteLength),
    Array<number>(20).fill(8),
  )
  t.deepEqual(
    sinks.slice(40).map((sink) => sink.byteLength),
    Array<number>(20).fill(0),
  )
  await listener.close()
  for (const pipe of flood) pipe.destroy()
  await Promise.all(flood.map((pipe) => pipe.closed))
  await sleep(20)
  t.is(network.pipes.size, 0)
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

test('closing cuts off those in handshakes and spares those inside', async (t) => {
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

test('a rank that gets in while the listener closes is not handed over', async (t) => {
  const network = createMemoryTransport()
  let closing: Promise<void> | undefined
  const admit = () => {
    closing = listener.close()
    return true
  }
  const { listener, peers } = await open(t, network, { ...here, admit })
  await t.throwsAsync(dialAuthenticated(network, '127.0.0.1', listener.port, there))
  await closing
  t.is(peers.length, 0)
  await until(() => network.pipes.size === 0)
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
