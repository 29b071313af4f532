/** Handshakes that end before they are complete: too slow, given up, or cut off. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import type { AdasumError } from '../../ts/src/errors.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import * as format from '../../ts/src/wire/handshake-format.ts'
import { acceptHandshake, dialHandshake } from '../../ts/src/wire/handshake.ts'
import { Collector, connectPair } from '../transport/_compliance.ts'
import { acceptor, dialler } from './_handshakes.ts'

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
