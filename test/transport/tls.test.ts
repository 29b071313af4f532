import test, { type ExecutionContext } from 'ava'
import { once } from 'node:events'
import { type Server, type Socket, connect, createServer } from 'node:net'
import { type TLSSocket, connect as tlsConnect } from 'node:tls'
import { tcp, tcpTransport } from '../../ts/src/transport/tcp.ts'
import { tlsFailureOf } from '../../ts/src/transport/tls-failure.ts'
import { type TlsSetting, encryptionOf } from '../../ts/src/transport/tls.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { certificates } from './_certificates.ts'
import { Collector, compliance, connectPair, write } from './_compliance.ts'

const SECRET = 'a secret that all ranks share'

function tls(setting: Exclude<TlsSetting, 'off'> = 'psk', secret: string = SECRET): Transport {
  return tcpTransport({ encryption: encryptionOf(secret, setting) })
}

compliance(test, 'tls', () => tls())

/** What goes over the wire between two ends, in both directions, and the ends. */
async function overheard(t: ExecutionContext, transport: Transport): Promise<{ pair: Pipe[]; wire: () => Buffer }> {
  const chunks: Buffer[] = []
  let accept: (pipe: Pipe) => void = () => {}
  const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await transport.listen('127.0.0.1', 0, accept)
  const relay = createServer((near) => {
    const far = connect(listener.port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk: Buffer) => void (chunks.push(chunk), to.write(chunk)))
      from.on('close', () => to.destroy())
      from.on('error', () => to.destroy())
    }
  })
  const port = await listening(t, relay)
  const pair = [await transport.dial('127.0.0.1', port), await arrival]
  t.teardown(async () => {
    for (const pipe of pair) pipe.destroy()
    await listener.close()
  })
  return { pair, wire: () => Buffer.concat(chunks) }
}

async function listening(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => void server.close())
  return (server.address() as { port: number }).port
}

test('a gradient is not on the wire, and over plain TCP it is', async (t) => {
  const gradient = new Uint8Array(Float32Array.from({ length: 5000 }, (_, index) => Math.sin(index)).buffer)
  const piece = gradient.subarray(4000, 4032)
  for (const [transport, isThere] of [
    [tls(), false],
    [tls(certificates('one')), false],
    [tcp, true],
  ] as const) {
    const { pair, wire } = await overheard(t, transport)
    const sink = new Collector()
    pair[1]!.setSink(sink)
    await write(pair[0]!, gradient)
    await sink.has(gradient.length)
    t.deepEqual(new Uint8Array(sink.bytes), gradient)
    t.true(wire().length >= gradient.length)
    t.is(wire().includes(Buffer.from(piece)), isThere)
    t.is(wire().includes(SECRET), false)
  }
})

async function bindings(t: ExecutionContext, transport: Transport): Promise<(Uint8Array | undefined)[]> {
  const { dialled, accepted } = await connectPair(t, transport)
  const [there, back] = [new Collector(), new Collector()]
  accepted.setSink(there)
  dialled.setSink(back)
  await Promise.all([write(dialled, Uint8Array.of(1)), write(accepted, Uint8Array.of(2)), there.has(1), back.has(1)])
  return [dialled, accepted].map((pipe) => pipe.channelBinding?.())
}

test('both ends have the same binding, each connection another one, and plain connections none', async (t) => {
  for (const setting of ['psk', certificates('one')] as const) {
    const [first, second] = [await bindings(t, tls(setting)), await bindings(t, tls(setting))]
    t.is(first[0]!.length, 32)
    t.deepEqual(first[0], first[1])
    t.deepEqual(second[0], second[1])
    t.notDeepEqual(first[0], second[0])
  }
  t.deepEqual(await bindings(t, tcp), [undefined, undefined])
})

test('with the secret, too, each connection has a Diffie-Hellman exchange of its own', async (t) => {
  const listener = await tls().listen('127.0.0.1', 0, (pipe) => pipe.setSink(new Collector()))
  t.teardown(() => listener.close())
  const dialled = encryptionOf(SECRET, 'psk').connect({ host: '127.0.0.1', port: listener.port }) as TLSSocket
  t.teardown(() => void dialled.destroy())
  await once(dialled, 'secureConnect')
  // Without one there is no key to tell of: TLS 1.3 can do with the secret alone, and then whoever learns it reads all.
  t.is((dialled.getEphemeralKeyInfo() as { type?: string } | null)?.type, 'ECDH')
})

/** How both ends see a connection end that was not to be. */
async function failures(t: ExecutionContext, dialling: Transport, accepting: Transport): Promise<unknown[]> {
  let accept: (pipe: Pipe) => void = () => {}
  const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await accepting.listen('127.0.0.1', 0, accept)
  const ends = [await dialling.dial('127.0.0.1', listener.port), await arrival]
  const sinks = ends.map(() => new Collector())
  ends.forEach((end, index) => end.setSink(sinks[index]!))
  ends[0]!.write(new TextEncoder().encode('hello, which nobody is to read'))
  const errors = await Promise.all(sinks.map((sink) => sink.finished))
  const read = sinks.map((sink) => sink.byteLength)
  for (const end of ends) end.destroy()
  await listener.close()
  t.is(read[1], 0)
  return errors.map((error) => tlsFailureOf(error))
}

test('ends that do not belong together read nothing of each other, and know why', async (t) => {
  t.deepEqual(await failures(t, tls('psk', 'another'), tls()), ['secret', 'secret'])
  t.is((await failures(t, tls(certificates('other')), tls(certificates('one'))))[0], 'certificate')
  // The dialler's certificate is of another authority, and it trusts that of the acceptor.
  t.is((await failures(t, tls(certificates('other', 'one')), tls(certificates('one'))))[1], 'certificate')
  t.not((await failures(t, tls(), tls(certificates('one'))))[0], undefined)
})

test('an end that does not encrypt is told apart from one with another secret', async (t) => {
  let accept: (pipe: Pipe) => void = () => {}
  const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await tls().listen('127.0.0.1', 0, accept)
  const dialled = await tcp.dial('127.0.0.1', listener.port)
  const accepted = await arrival
  const [here, there] = [new Collector(), new Collector()]
  dialled.setSink(here)
  accepted.setSink(there)
  dialled.write(new Uint8Array(76).fill(65))
  t.is(tlsFailureOf(await there.finished), 'plain')
  accepted.destroy()
  await here.finished
  t.is(here.byteLength, 0)
  dialled.destroy()
  await listener.close()
})

test('no older version, no other cipher and no resumed session come in', async (t) => {
  let pipes = 0
  const listener = await tls().listen('127.0.0.1', 0, (pipe) => {
    pipes++
    pipe.setSink(new Collector())
  })
  t.teardown(() => listener.close())
  const key = { psk: Buffer.alloc(32), identity: 'adasum' }
  const outcome = (options: object): Promise<string> =>
    new Promise((resolve) => {
      const socket = tlsConnect({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false, ...options })
      socket.once('secureConnect', () => void (socket.destroy(), resolve('secure')))
      socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(String(code)))
    })
  t.not(await outcome({ maxVersion: 'TLSv1.2' }), 'secure')
  t.not(await outcome({}), 'secure')
  t.not(await outcome({ pskCallback: () => key }), 'secure')
  t.not(await outcome({ session: await ticketOf(listener.port) }), 'secure')
  t.is(pipes, 5)
})

/** What the listener gives those that know the secret, so that they may come again without it. */
async function ticketOf(port: number): Promise<Buffer> {
  const dialled: Socket = encryptionOf(SECRET, 'psk').connect({ host: '127.0.0.1', port })
  const [ticket] = (await once(dialled, 'session')) as [Buffer]
  dialled.destroy()
  return ticket
}

test('by default what goes over the loopback interface is not encrypted, and all else is', (t) => {
  const covers = (setting: Exclude<TlsSetting, 'off'>): boolean[] =>
    ['127.0.0.1', '::1', '::ffff:127.0.0.1', '10.0.0.1', 'fe80::1%eth0'].map((host) =>
      encryptionOf(SECRET, setting).covers(host),
    )
  t.deepEqual(covers('default'), [false, false, false, true, true])
  t.true(covers('psk').every(Boolean))
  t.true(covers(certificates('one')).every(Boolean))
})
