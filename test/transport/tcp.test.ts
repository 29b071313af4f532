import test from 'ava'
import { connect } from 'node:net'
import { once } from 'node:events'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import { Collector, compliance, connectPair, write } from './_compliance.ts'
import { ipv6Test } from './_ipv6.ts'

compliance(test, 'tcp', () => tcp)

test('the dialling end reads straight into the target', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  const into = new Uint8Array(1000)
  let filled = 0
  const full = new Promise<void>((resolve) => {
    dialled.setSink({
      target: () => into.subarray(filled),
      filled: (byteLength) => {
        filled += byteLength
        if (filled === 999) resolve()
      },
      ended: () => {},
    })
  })
  // The first read still goes to the pipe's own memory; the one after it has been offered all that is left.
  await write(accepted, new Uint8Array(1).fill(1))
  await write(accepted, new Uint8Array(998).fill(2))
  await full
  t.is(into[998], 2)
})

ipv6Test('IPv6 addresses are written with brackets', async (t) => {
  let accept: (pipe: Pipe) => void = () => {}
  const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await tcp.listen('::1', 0, accept)
  t.is(listener.host, '::1')
  const dialled = await tcp.dial('::1', listener.port)
  const accepted = await arrival
  t.is(dialled.remoteAddress, `[::1]:${listener.port}`)
  t.is(accepted.remoteAddress, dialled.localAddress)
  dialled.destroy()
  accepted.destroy()
  await listener.close()
})

ipv6Test('a dual-stack listener shows IPv4 peers as IPv4', async (t) => {
  let accept: (pipe: Pipe) => void = () => {}
  const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
  const listener = await tcp.listen('::', 0, accept)
  const dialled = await tcp.dial('127.0.0.1', listener.port)
  const accepted = await arrival
  t.regex(accepted.remoteAddress, /^127\.0\.0\.1:/)
  dialled.destroy()
  accepted.destroy()
  await listener.close()
})

test('a listener on localhost is reached by that name', async (t) => {
  const sink = new Collector()
  const listener = await tcp.listen('localhost', 0, (pipe) => {
    pipe.setSink(new Collector())
    pipe.write(Buffer.from('welcome'))
    pipe.end()
  })
  t.teardown(() => listener.close())
  const pipe = await tcp.dial('localhost', listener.port)
  pipe.setSink(sink)
  await sink.finished
  t.is(Buffer.from(sink.bytes).toString(), 'welcome')
  pipe.end()
  await pipe.closed
})

test('a connection that is reset at once disturbs neither listener nor pipe', async (t) => {
  const pipes: Pipe[] = []
  const listener = await tcp.listen('127.0.0.1', 0, (pipe) => pipes.push(pipe))
  for (let i = 0; i < 20; i++) {
    const socket = connect(listener.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.resetAndDestroy()
  }
  const sink = new Collector()
  const pipe = await tcp.dial('127.0.0.1', listener.port)
  while (pipes.at(-1)?.remoteAddress !== pipe.localAddress) await new Promise((resolve) => setTimeout(resolve, 5))
  pipes.at(-1)!.setSink(sink)
  await write(pipe, Buffer.from('fine'))
  await sink.has(4)
  for (const accepted of pipes) accepted.destroy()
  pipe.destroy()
  await Promise.all([...pipes, pipe].map((each) => each.closed))
  await listener.close()
  t.pass()
})
