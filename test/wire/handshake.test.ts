/** Handshakes of two ends that keep to the protocol: what they agree on, what they refuse, and how they end too early. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type AdasumError, type ErrorCode, systemCode } from '../../ts/src/errors.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import * as format from '../../ts/src/wire/handshake-format.ts'
import { acceptHandshake, dialHandshake, type AcceptIdentity, type DialIdentity } from '../../ts/src/wire/handshake.ts'
import { Collector, connectPair } from '../transport/_compliance.ts'
import { acceptor, dialler, runId } from './_handshakes.ts'

const networks: [string, () => Transport][] = [
  ['tcp', () => tcp],
  ['memory, one byte at a time', () => createMemoryTransport({ maxChunkByteLength: 1 })],
  ['memory, random chunks', () => createMemoryTransport({ maxChunkByteLength: 40, seed: 3 })],
]

async function shake(t: ExecutionContext, local: DialIdentity, far: AcceptIdentity, transport: Transport = tcp) {
  const pair = await connectPair(t, transport)
  const [dialled, accepted] = await Promise.allSettled([
    dialHandshake(pair.dialled, local),
    acceptHandshake(pair.accepted, far),
  ])
  return { ...pair, dialled: dialled, accepted: accepted, pipes: pair }
}

function failure(outcome: PromiseSettledResult<unknown>): AdasumError {
  if (outcome.status === 'fulfilled') throw new Error('was let in')
  return outcome.reason as AdasumError
}

async function bothRefuse(
  t: ExecutionContext,
  code: ErrorCode,
  local: DialIdentity,
  far: AcceptIdentity,
  words: RegExp,
) {
  const { dialled, accepted, pipes } = await shake(t, local, far)
  t.is(failure(accepted).code, code)
  t.is(failure(dialled).code, code)
  t.regex(failure(dialled).message, words)
  await Promise.all([pipes.dialled.closed, pipes.accepted.closed])
  t.is(far.nonces.size, 0)
}

for (const [name, create] of networks)
  test(`both ends agree, and bytes behind the handshake stay in the pipe (${name})`, async (t) => {
    const pair = await connectPair(t, create())
    const dialling = dialHandshake(pair.dialled, dialler())
    const { peerRank } = await acceptHandshake(pair.accepted, acceptor())
    t.is(peerRank, 1)
    pair.accepted.write(Buffer.from('from the acceptor, at once'))
    await dialling
    pair.dialled.write(Buffer.from('from the dialler'))
    await sleep(20)
    const [near, far] = [new Collector(), new Collector()]
    pair.dialled.setSink(near)
    pair.accepted.setSink(far)
    await Promise.all([near.has(26), far.has(16)])
    t.is(Buffer.from(near.bytes).toString(), 'from the acceptor, at once')
    t.is(Buffer.from(far.bytes).toString(), 'from the dialler')
  })

test('a store has no rank, and no secret is an empty key', async (t) => {
  const { dialled, accepted } = await shake(
    t,
    dialler({ peerRank: format.STORE_RANK, purpose: 'store', secret: '' }),
    acceptor({ rank: format.STORE_RANK, purpose: 'store', secret: '' }),
  )
  t.deepEqual([dialled.status, accepted.status], ['fulfilled', 'fulfilled'])
})

test('different secrets are refused at both ends', async (t) => {
  await bothRefuse(t, 'ERR_AUTH', dialler({ secret: 'other' }), acceptor(), /ADASUM_SECRET/)
  await bothRefuse(t, 'ERR_AUTH', dialler({ secret: '' }), acceptor(), /ADASUM_SECRET/)
  await bothRefuse(t, 'ERR_AUTH', dialler(), acceptor({ secret: '' }), /ADASUM_SECRET/)
})

test('different runs, sizes, ranks and purposes are refused at both ends, with the numbers', async (t) => {
  await bothRefuse(t, 'ERR_MISMATCH', dialler({ runId: new Uint8Array(16) }), acceptor(), /another run/)
  await bothRefuse(t, 'ERR_WORLD_SIZE', dialler({ size: 5 }), acceptor(), /world size 4.*rank 1 5/)
  await bothRefuse(t, 'ERR_MISMATCH', dialler({ peerRank: 3 }), acceptor(), /disagree about who they are/)
  await bothRefuse(t, 'ERR_MISMATCH', dialler({ rank: 4 }), acceptor(), /0 to 3/)
  await bothRefuse(t, 'ERR_MISMATCH', dialler({ purpose: 'store' }), acceptor(), /store port/)
})

test('a rank that is the acceptor’s own, or not admitted, is taken', async (t) => {
  await bothRefuse(t, 'ERR_RANK_TAKEN', dialler({ rank: 2 }), acceptor(), /own rank/)
  await bothRefuse(t, 'ERR_RANK_TAKEN', dialler(), acceptor({ admit: (rank) => rank !== 1 }), /own rank/)
})

test('a dialler waits while the acceptor does not know its run yet', async (t) => {
  let know: (id: Uint8Array) => void = () => {}
  const pair = await connectPair(t, tcp)
  const outcome = Promise.all([
    dialHandshake(pair.dialled, dialler()),
    acceptHandshake(pair.accepted, acceptor({ runId: new Promise((resolve) => (know = resolve)) })),
  ])
  t.is(await Promise.race([outcome, sleep(50, 'waits')]), 'waits')
  know(runId)
  t.is((await outcome)[1].peerRank, 1)
})

test('a run that never begins refuses those who wait', async (t) => {
  const pair = await connectPair(t, tcp)
  const failed = Promise.reject(new Error('no store'))
  const [dialled, accepted] = await Promise.allSettled([
    dialHandshake(pair.dialled, dialler()),
    acceptHandshake(pair.accepted, acceptor({ runId: failed })),
  ])
  t.is(failure(accepted).message, 'no store')
  t.is(failure(dialled).code, 'ERR_PEER_LOST')
})

test('whoever means another rank does not wait for a run that has not begun', async (t) => {
  const pair = await connectPair(t, tcp)
  const [dialled, accepted] = await Promise.allSettled([
    dialHandshake(pair.dialled, dialler({ peerRank: 3 })),
    acceptHandshake(pair.accepted, acceptor({ runId: new Promise(() => {}) })),
  ])
  for (const outcome of [dialled, accepted]) {
    t.is(failure(outcome).code, 'ERR_MISMATCH')
    t.regex(failure(outcome).message, /disagree about who they are/)
  }
})

test('another protocol version is named on both sides', async (t) => {
  const hello = format.encodeHello({ ...dialler(), role: 'dialler', nonce: new Uint8Array(32) })
  new DataView(hello.buffer).setUint16(4, 9)
  const { dialled, accepted } = await connectPair(t, tcp)
  const sink = new Collector()
  dialled.setSink(sink)
  dialled.write(hello)
  const refusal = await t.throwsAsync<AdasumError>(acceptHandshake(accepted, acceptor()))
  t.is(refusal.code, 'ERR_MISMATCH')
  await sink.finished
  const mine = format.PROTOCOL_VERSION
  t.deepEqual(format.decodePrefix(sink.bytes), {
    ...{ version: mine, role: format.ROLE.acceptor, tag: format.STATUS.version },
  })

  const pair = await connectPair(t, tcp)
  const notice = format.encodeNotice('version')
  new DataView(notice.buffer).setUint16(4, 9)
  pair.accepted.write(notice)
  const error = await t.throwsAsync<AdasumError>(dialHandshake(pair.dialled, dialler()))
  t.is(error.code, 'ERR_MISMATCH')
  t.regex(error.message, new RegExp(`version 9.*version ${mine}`))
})

// ---- too slow, given up, or cut off

test('an acceptor that says nothing is given up for another try; one that has introduced itself is not', async (t) => {
  const silent = await connectPair(t, createMemoryTransport())
  const error = await t.throwsAsync<AdasumError>(dialHandshake(silent.dialled, dialler(), undefined, 50))
  t.is(error.code, 'ERR_TIMEOUT')
  t.is(error.peerRank, 2)
  t.is(systemCode(error.cause), 'ETIMEDOUT')
  t.regex(error.message, /^rank 2 at 127\.0\.0\.1:\d+ has said nothing for 50 ms since it was dialled/)
  const { dialled, accepted } = await connectPair(t, createMemoryTransport())
  const admit = (): Promise<boolean> => sleep(300, true)
  const dialling = dialHandshake(dialled, dialler(), undefined, 150)
  t.is((await acceptHandshake(accepted, acceptor({ admit }))).peerRank, 1)
  await t.notThrowsAsync(dialling)
})

test('who may come in can take a moment to find out, but no longer than a handshake', async (t) => {
  const { dialled, accepted } = await shake(t, dialler(), acceptor({ admit: () => sleep(20, false) }))
  for (const outcome of [dialled, accepted]) t.is(failure(outcome).code, 'ERR_RANK_TAKEN')
  const pair = await connectPair(t, tcp)
  const outcomes = await Promise.allSettled([
    dialHandshake(pair.dialled, dialler()),
    acceptHandshake(pair.accepted, acceptor({ admit: () => sleep(500, true) }), 100),
  ])
  for (const outcome of outcomes) t.is(failure(outcome).code, 'ERR_TIMEOUT')
})

test('a slow dialler is told so and sent away', async (t) => {
  const hello = format.encodeHello({ ...dialler(), role: 'dialler', nonce: new Uint8Array(32) })
  for (const prepared of [hello.subarray(0, 0), hello.subarray(0, 30), hello]) {
    const { dialled, accepted } = await connectPair(t, tcp)
    const sink = new Collector()
    dialled.setSink(sink)
    const accepting = acceptHandshake(accepted, acceptor(), 150)
    const drip = setInterval(
      () => dialled.write(new Uint8Array(prepared.length === format.HELLO_BYTE_LENGTH ? 1 : 0)),
      20,
    )
    dialled.write(prepared)
    const error = await t.throwsAsync<AdasumError>(accepting)
    clearInterval(drip)
    t.is(error.code, 'ERR_TIMEOUT')
    await sink.finished
    const status =
      prepared.length === format.HELLO_BYTE_LENGTH ? sink.bytes.at(-format.VERDICT_BYTE_LENGTH) : sink.bytes.at(-1)
    t.is(status, format.STATUS.slow)
    dialled.end()
    await accepted.closed
  }
})

test('a dialler that was refused and stays is cut off', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  dialled.write(format.encodeHello({ ...dialler({ rank: 2 }), role: 'dialler', nonce: new Uint8Array(32) }))
  await t.throwsAsync(acceptHandshake(accepted, acceptor(), 50))
  await accepted.closed
  t.pass()
})

test('the time limit looks at the network first: a busy process is not too late', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  const accepting = acceptHandshake(accepted, acceptor(), 100)
  const dialling = dialHandshake(dialled, dialler())
  // Both ends live in this process: neither gets anywhere while it computes.
  const until = performance.now() + 300
  while (performance.now() < until);
  await Promise.all([accepting, dialling])
  t.pass()
})

test('an abort ends the dialler’s handshake with its reason and closes the pipe', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  const controller = new AbortController()
  const reason = new Error('enough')
  const dialling = dialHandshake(dialled, dialler(), controller.signal)
  setTimeout(() => controller.abort(reason), 20)
  t.is(await t.throwsAsync(dialling), reason)
  await dialled.closed
  accepted.destroy()
  const late = await connectPair(t, tcp)
  t.is(await t.throwsAsync(dialHandshake(late.dialled, dialler(), AbortSignal.abort(reason))), reason)
  await late.dialled.closed
})

test('a raw socket that disconnects in mid-handshake leaves nothing behind', async (t) => {
  const accepted: Pipe[] = []
  const listener = await tcp.listen('127.0.0.1', 0, (pipe) => accepted.push(pipe))
  for (const cut of [0, 1, 7, 8, 67, 68]) {
    const socket = connect(listener.port, '127.0.0.1')
    await once(socket, 'connect')
    while (accepted.length === 0) await sleep(2)
    const pipe = accepted.pop()!
    const accepting = acceptHandshake(pipe, acceptor())
    const hello = format.encodeHello({ ...dialler(), role: 'dialler', nonce: new Uint8Array(32) })
    socket.write(hello.subarray(0, cut))
    await sleep(5)
    if (cut % 2 === 0) socket.destroy()
    else socket.resetAndDestroy()
    t.is((await t.throwsAsync<AdasumError>(accepting)).code, 'ERR_MISMATCH')
    await pipe.closed
  }
  await listener.close()
})
