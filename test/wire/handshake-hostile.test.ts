/** Handshakes with an end that lies, repeats what it has heard, or speaks another language. */
import { createHmac } from 'node:crypto'
import test, { type ExecutionContext } from 'ava'
import { AdasumError, type ErrorCode } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import * as format from '../../ts/src/wire/handshake-format.ts'
import { acceptHandshake, dialHandshake, type AcceptIdentity } from '../../ts/src/wire/handshake.ts'
import { Collector, connectPair, write } from '../transport/_compliance.ts'
import { acceptor, dialler, runId } from './_handshakes.ts'

test('whatever an acceptor answers, a dialler never takes it for a rank', async (t) => {
  const hello = (change: Partial<format.Hello>) =>
    format.encodeHello({
      role: 'acceptor',
      purpose: 'peer',
      rank: 2,
      peerRank: 1,
      size: 4,
      runId,
      nonce: new Uint8Array(32),
      ...change,
    })
  const answers: [Uint8Array, ErrorCode][] = [
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'ERR_MISMATCH'],
    [format.encodeNotice('ok'), 'ERR_PEER_LOST'],
    [new Uint8Array(0), 'ERR_PEER_LOST'],
    [Buffer.concat([format.encodeNotice('ok'), hello({}), new Uint8Array(33)]), 'ERR_AUTH'],
    [Buffer.concat([format.encodeNotice('ok'), hello({}), new Uint8Array(33).fill(format.STATUS.size)]), 'ERR_AUTH'],
    [Buffer.concat([format.encodeNotice('ok'), hello({}), new Uint8Array(33).fill(99)]), 'ERR_MISMATCH'],
    [Buffer.concat([format.encodeNotice('ok'), hello({ role: 'dialler' }), new Uint8Array(33)]), 'ERR_MISMATCH'],
    [format.encodeNotice('busy'), 'ERR_NOT_READY'],
    [format.encodeNotice('slow'), 'ERR_TIMEOUT'],
  ]
  for (const [bytes, code] of answers) {
    const { dialled, accepted } = await connectPair(t, tcp)
    accepted.setSink(new Collector())
    accepted.write(bytes)
    accepted.end()
    const error = await t.throwsAsync<AdasumError>(dialHandshake(dialled, dialler()))
    t.is(error.code, code, Buffer.from(bytes).toString('latin1'))
    await dialled.closed
  }
})

test('an acceptor that mirrors the dialler proves nothing', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  const sink = new Collector()
  accepted.setSink(sink)
  const dialling = dialHandshake(dialled, dialler())
  await sink.has(format.HELLO_BYTE_LENGTH)
  const mirrored = sink.bytes.slice()
  mirrored[6] = format.ROLE.acceptor
  accepted.write(format.encodeNotice('ok'))
  accepted.write(mirrored)
  t.is((await t.throwsAsync<AdasumError>(dialling)).code, 'ERR_AUTH')
})

test('a dialler with the secret checks the acceptor’s words as well', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  const sink = new Collector()
  accepted.setSink(sink)
  const dialling = dialHandshake(dialled, dialler())
  await sink.has(format.HELLO_BYTE_LENGTH)
  const hello = {
    role: 'acceptor',
    purpose: 'peer',
    rank: 3,
    peerRank: 1,
    size: 4,
    runId,
    nonce: new Uint8Array(32),
  } as const
  const mine = format.encodeHello(hello)
  accepted.write(format.encodeNotice('ok'))
  accepted.write(mine)
  await sink.has(format.HELLO_BYTE_LENGTH + format.PROOF_BYTE_LENGTH)
  const theirs = sink.bytes.slice(0, format.HELLO_BYTE_LENGTH)
  accepted.write(format.encodeVerdict('s3cret', 'ok', seen(theirs, mine)))
  t.is((await t.throwsAsync<AdasumError>(dialling)).code, 'ERR_MISMATCH')
})

/** Records what a dialler sends in a good handshake. */
async function record(t: ExecutionContext, far: AcceptIdentity): Promise<Uint8Array> {
  const { dialled, accepted } = await connectPair(t, tcp)
  const sent: Uint8Array[] = []
  const spy: Pipe = {
    ...methodsOf(dialled),
    write: (bytes, done) => (sent.push(bytes.slice()), dialled.write(bytes, done)),
  }
  await Promise.all([dialHandshake(spy, dialler()), acceptHandshake(accepted, far)])
  return Buffer.concat(sent)
}

function methodsOf(pipe: Pipe): Pipe {
  return {
    remoteAddress: pipe.remoteAddress,
    localAddress: pipe.localAddress,
    closed: pipe.closed,
    setSink: (sink) => pipe.setSink(sink),
    write: (bytes, done) => pipe.write(bytes, done),
    end: () => pipe.end(),
    destroy: () => pipe.destroy(),
    ref: () => pipe.ref(),
    unref: () => pipe.unref(),
  }
}

test('a recorded handshake opens no second pipe, here or at another acceptor', async (t) => {
  const nonces = new Set<string>()
  const recorded = await record(t, acceptor({ nonces }))
  t.is(recorded.length, format.HELLO_BYTE_LENGTH + format.PROOF_BYTE_LENGTH)
  // Where the nonce is known the dialler gets no answer to work on; elsewhere its proof is stale.
  const answers: [AcceptIdentity, number][] = [
    [acceptor({ nonces }), format.PREFIX_BYTE_LENGTH],
    [acceptor(), format.PREFIX_BYTE_LENGTH + format.HELLO_BYTE_LENGTH + format.VERDICT_BYTE_LENGTH],
  ]
  for (const [far, answerByteLength] of answers) {
    const { dialled, accepted } = await connectPair(t, tcp)
    const sink = new Collector()
    dialled.setSink(sink)
    dialled.write(recorded)
    t.is((await t.throwsAsync<AdasumError>(acceptHandshake(accepted, far))).code, 'ERR_AUTH')
    await sink.finished
    t.is(sink.byteLength, answerByteLength)
  }
})

/** Dials by hand, with a nonce of the test's choice, up to the point before the proof is sent. */
/** What both ends have seen of a connection that is not encrypted. */
const seen = (diallerHello: Uint8Array, acceptorHello: Uint8Array): format.Transcript => ({
  ...{ diallerHello, acceptorHello },
  channelBinding: new Uint8Array(),
})

async function greet(t: ExecutionContext, far: AcceptIdentity, nonce: Uint8Array) {
  const { dialled, accepted } = await connectPair(t, tcp)
  const outcome = acceptHandshake(accepted, far)
  outcome.catch(() => {})
  const sink = new Collector()
  dialled.setSink(sink)
  const mine = format.encodeHello({ ...dialler(), role: 'dialler', nonce })
  dialled.write(mine)
  await sink.has(format.PREFIX_BYTE_LENGTH + format.HELLO_BYTE_LENGTH)
  const theirs = sink.bytes.slice(format.PREFIX_BYTE_LENGTH)
  return { outcome, prove: () => dialled.write(format.diallerProof('s3cret', seen(mine, theirs))) }
}

test('two handshakes with one nonce at the same time: the first wins', async (t) => {
  const far = acceptor()
  const nonce = new Uint8Array(32).fill(5)
  const [first, second] = [await greet(t, far, nonce), await greet(t, far, nonce)]
  first.prove()
  t.is((await first.outcome).peerRank, 1)
  second.prove()
  t.is((await t.throwsAsync<AdasumError>(second.outcome)).code, 'ERR_AUTH')
})

test('the bytes of proofs are fixed: HMAC-SHA-256 over role, status, both hellos and the channel', (t) => {
  const [one, two] = [
    new Uint8Array(format.HELLO_BYTE_LENGTH).fill(1),
    new Uint8Array(format.HELLO_BYTE_LENGTH).fill(2),
  ]
  const channelBinding = Uint8Array.of(3, 4)
  const hmac = (label: string) =>
    createHmac('sha256', 'k')
      .update(Buffer.concat([Buffer.from(label), one, two, channelBinding]))
      .digest()
  t.deepEqual(
    Buffer.from(format.diallerProof('k', { diallerHello: one, acceptorHello: two, channelBinding })),
    hmac('adasum dialler\0'),
  )
  const verdict = Buffer.concat([Buffer.from([4]), hmac('adasum acceptor\0\x04')])
  t.deepEqual(
    Buffer.from(format.encodeVerdict('k', 'size', { diallerHello: one, acceptorHello: two, channelBinding })),
    verdict,
  )
})

test('garbage, truncated and bit-flipped hellos are refused, and every pipe closes', async (t) => {
  const seed = Number(process.env['ADASUM_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  t.log(`seed ${seed}`)
  const network = createMemoryTransport({ maxChunkByteLength: 80, seed })
  const good = format.encodeHello({ ...dialler(), role: 'dialler', nonce: new Uint8Array(32).fill(9) })
  let state = seed
  const random = (below: number) => (state = (state * 1103515245 + 12345) % 2 ** 31) % below
  for (let i = 0; i < 300; i++) {
    const bytes = Buffer.concat([good, new Uint8Array(format.PROOF_BYTE_LENGTH)])
    const bit = random(bytes.length * 8)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    const { dialled, accepted } = await connectPair(t, network)
    const accepting = acceptHandshake(accepted, acceptor())
    dialled.setSink(new Collector())
    dialled.write(i % 3 === 0 ? bytes.subarray(0, random(bytes.length)) : bytes)
    dialled.end()
    const error = await t.throwsAsync<AdasumError>(accepting)
    t.true(error instanceof AdasumError, `case ${i}`)
    await Promise.all([dialled.closed, accepted.closed])
  }
  t.is(network.pipes.size, 0)
})

test('another program’s first words are cut off at once', async (t) => {
  for (const words of [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01',
    `ADSM\0${String.fromCharCode(format.PROTOCOL_VERSION)}\x02\x01`,
  ]) {
    const { dialled, accepted } = await connectPair(t, tcp)
    await write(dialled, Buffer.from(words, 'latin1'))
    t.is((await t.throwsAsync<AdasumError>(acceptHandshake(accepted, acceptor()))).code, 'ERR_MISMATCH')
    await accepted.closed
  }
})
