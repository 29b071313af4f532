/** The handshake over encrypted connections, and those that do not come about. */
import test, { type ExecutionContext } from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { tcp, tcpTransport } from '../../ts/src/transport/tcp.ts'
import { type TlsSetting, encryptionOf } from '../../ts/src/transport/tls.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { dialAuthenticated, listenAuthenticated } from '../../ts/src/wire/authenticated.ts'
import { certificates } from '../transport/_certificates.ts'
import { Collector } from '../transport/_compliance.ts'

const runId = new Uint8Array(16).fill(7)
const SECRET = 'the secret of the ranks'
const HOST = '127.0.0.1'

const tls = (setting: Exclude<TlsSetting, 'off'> = 'psk', secret: string = SECRET): Transport =>
  tcpTransport({ encryption: encryptionOf(secret, setting) })

interface Listening {
  readonly port: number
  readonly peers: Pipe[]
  readonly refused: AdasumError[]
}

async function listen(t: ExecutionContext, transport: Transport, secret: string = SECRET): Promise<Listening> {
  const [peers, refused]: [Pipe[], AdasumError[]] = [[], []]
  const identity = { runId, rank: 0, size: 2, purpose: 'peer', secret } as const
  const onRefused = (error: unknown): void => void refused.push(error as AdasumError)
  const onPeer = (_: number, pipe: Pipe): void => void peers.push(pipe)
  const listener = await listenAuthenticated(transport, HOST, 0, identity, onPeer, { onRefused })
  t.teardown(async () => {
    for (const pipe of peers) pipe.destroy()
    await listener.close()
  })
  return { port: listener.port, peers, refused }
}

async function dial(t: ExecutionContext, transport: Transport, port: number, secret: string = SECRET): Promise<Pipe> {
  const identity = { runId, rank: 1, size: 2, peerRank: 0, purpose: 'peer', secret } as const
  const pipe = await dialAuthenticated(transport, HOST, port, identity, AbortSignal.timeout(20_000))
  t.teardown(() => pipe.destroy())
  return pipe
}

const failure = (t: ExecutionContext, dialling: Promise<Pipe>): Promise<AdasumError> =>
  t.throwsAsync<AdasumError>(dialling, { instanceOf: AdasumError })

for (const [name, setting] of [
  ['the secret', 'psk'],
  ['certificates', certificates('one')],
] as const)
  test(`by ${name}: the ends come together, and what follows is read`, async (t) => {
    const { port, peers, refused } = await listen(t, tls(setting))
    const pipe = await dial(t, tls(setting), port)
    const sink = new Collector()
    peers[0]!.setSink(sink)
    pipe.write(Uint8Array.of(1, 2, 3))
    await sink.has(3)
    t.deepEqual([...sink.bytes], [1, 2, 3])
    t.deepEqual(refused, [])
  })

test('with another secret neither end hears anything of the other, and both say so', async (t) => {
  const { port, refused, peers } = await listen(t, tls())
  const error = await failure(t, dial(t, tls('psk', 'another'), port, 'another'))
  t.is(error.code, 'ERR_AUTH')
  t.regex(error.message, /have different secrets: give all ranks the same ADASUM_SECRET/)
  t.is(refused[0]!.code, 'ERR_AUTH')
  t.deepEqual(peers, [])
})

test('certificates that are in order do not replace the secret', async (t) => {
  const { port, peers } = await listen(t, tls(certificates('one')))
  const error = await failure(t, dial(t, tls(certificates('one')), port, 'another'))
  t.is(error.code, 'ERR_AUTH')
  t.deepEqual(peers, [])
})

test('certificates of another authority are refused by both ends', async (t) => {
  const { port, peers, refused } = await listen(t, tls(certificates('one')))
  const stranger = await failure(t, dial(t, tls(certificates('other')), port))
  t.is(stranger.code, 'ERR_AUTH')
  t.regex(stranger.message, /do not accept each other's certificates .*let one authority sign/)
  await t.throwsAsync(dial(t, tls(certificates('other', 'one')), port))
  t.true(refused.some(({ code, message }) => code === 'ERR_AUTH' && message.includes('certificates')))
  t.deepEqual(peers, [])
})

test('an end that encrypts and one that does not are told what differs', async (t) => {
  const plain = await listen(t, tcp)
  await failure(t, dial(t, tls(), plain.port))
  t.regex(plain.refused[0]!.message, /encrypts, and this end does not: give all ranks the same option "tls"/)
  const encrypted = await listen(t, tls())
  await failure(t, dial(t, tcp, encrypted.port))
  t.regex(encrypted.refused[0]!.message, /does not encrypt, and this end does: give all ranks the same option "tls"/)
  t.deepEqual([...plain.peers, ...encrypted.peers], [])
})

/** Passes on what comes over one connection to another one, each encrypted by whoever stands between. */
function join(one: Pipe, other: Pipe): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const memory = new Uint8Array(4096)
    from.setSink({
      target: () => memory,
      onFilled: (byteLength) => to.write(memory.slice(0, byteLength)),
      onEnd: () => to.destroy(),
    })
  }
}

test('whoever stands between, with a certificate in order, cannot join the halves of two connections', async (t) => {
  const between = tls(certificates('one'))
  const { port, peers, refused } = await listen(t, tls(certificates('one')))
  const relay = await between.listen(HOST, 0, (near) => {
    void between.dial(HOST, port).then((far) => join(near, far))
  })
  t.teardown(() => relay.close())
  const error = await failure(t, dial(t, tls(certificates('one')), relay.port))
  t.is(error.code, 'ERR_AUTH')
  t.is(refused[0]!.code, 'ERR_AUTH')
  t.deepEqual(peers, [])
})

test('and where nothing is encrypted, who passes on what he cannot read lets them come together', async (t) => {
  const { port, peers } = await listen(t, tcp)
  const relay = await tcp.listen(HOST, 0, (near) => {
    void tcp.dial(HOST, port).then((far) => join(near, far))
  })
  t.teardown(() => relay.close())
  await dial(t, tcp, relay.port)
  t.is(peers.length, 1)
})
