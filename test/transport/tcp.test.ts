import test from 'ava'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { systemCode } from '../../ts/src/errors.ts'
import type { Lookup } from '../../ts/src/transport/names.ts'
import { tcp, tcpTransport } from '../../ts/src/transport/tcp.ts'
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
      onFilled: (byteLength) => {
        filled += byteLength
        if (filled === 999) resolve()
      },
      onEnd: () => {},
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

const linuxTest = process.platform === 'linux' ? test : test.skip

/** The timer that the kernel runs for a socket of that port (proc(5), net/tcp), and in how many ms it fires. */
function timerOf(localPort: number, remotePort: number): { timer: number; inMs: number } {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
  const line = lines.find((each) => each.includes(`:${hex(localPort)} `) && each.includes(`:${hex(remotePort)} 01 `))
  const [, timer, when] = / (\d\d):([0-9A-F]{8}) /.exec(line ?? '') ?? []
  // Hundredths of a second, whatever the kernel's own clock.
  return { timer: Number(timer), inMs: 10 * parseInt(when ?? '', 16) }
}

linuxTest('the kernel asks an idle connection for a sign of life after 10 s, at both ends', async (t) => {
  const { dialled, accepted } = await connectPair(t, tcp)
  const [near, far] = [dialled, accepted].map((pipe) => Number(pipe.localAddress.split(':').at(-1)))
  for (const [local, remote] of [
    [near!, far!],
    [far!, near!],
  ] as const) {
    const { timer, inMs } = timerOf(local, remote)
    // 2 is keepalive.
    t.is(timer, 2)
    // Without it two hours, or none.
    t.true(inMs > 0 && inMs <= 10_000, `${inMs}`)
  }
})

/** A name server that knows one name. */
const knows =
  (...addresses: string[]): Lookup =>
  (name) =>
    name === 'node0'
      ? Promise.resolve(addresses)
      : Promise.reject(Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' }))

ipv6Test(
  'who listens on a name is reached at all its addresses, at one port; another machine’s are left out',
  async (t) => {
    const transport = tcpTransport({ lookup: knows('::1', '203.0.113.7', '127.0.0.1') })
    const pipes: Pipe[] = []
    const listener = await transport.listen('node0', 0, (pipe) => pipes.push(pipe))
    t.is(listener.host, '::1')
    for (const address of ['127.0.0.1', '::1', 'localhost']) pipes.push(await tcp.dial(address, listener.port))
    t.is(systemCode(await t.throwsAsync(tcp.listen('127.0.0.1', listener.port, () => {}))), 'EADDRINUSE')
    for (const pipe of pipes) pipe.destroy()
    await listener.close()
    for (const address of ['127.0.0.1', '::1'])
      t.is(systemCode(await t.throwsAsync(tcp.dial(address, listener.port))), 'ECONNREFUSED')
  },
)

ipv6Test('a port that is taken at one address of a name is taken, and none is kept', async (t) => {
  const transport = tcpTransport({ lookup: knows('::1', '127.0.0.1') })
  const other = await tcp.listen('127.0.0.1', 0, (pipe) => pipe.destroy())
  const error = await t.throwsAsync(transport.listen('node0', other.port, () => {}))
  t.is(systemCode(error), 'EADDRINUSE')
  t.regex(error.message, /EADDRINUSE at 127\.0\.0\.1/)
  await (await tcp.listen('::1', other.port, () => {})).close()
  await other.close()
})

test('where no address of a name is this machine’s, all are named; so is a name that nobody knows', async (t) => {
  const transport = tcpTransport({ lookup: knows('203.0.113.7', '203.0.113.8') })
  const elsewhere = await t.throwsAsync(transport.listen('node0', 0, () => {}))
  t.is(systemCode(elsewhere), 'EADDRNOTAVAIL')
  t.regex(elsewhere.message, /^EADDRNOTAVAIL at 203\.0\.113\.7, EADDRNOTAVAIL at 203\.0\.113\.8$/)
  for (const unknown of [transport.listen('node1', 0, () => {}), transport.dial('node1', 1)])
    t.is(systemCode(await t.throwsAsync(unknown)), 'ENOTFOUND')
  t.is(systemCode(await t.throwsAsync(tcpTransport({ lookup: knows() }).dial('node0', 1))), 'ENOTFOUND')
})

ipv6Test('all addresses of a name are dialled, and all are named if none answers', async (t) => {
  const listener = await tcp.listen('127.0.0.1', 0, (pipe) => pipe.destroy())
  const transport = tcpTransport({ lookup: knows('::1', '127.0.0.1') })
  const pipe = await transport.dial('node0', listener.port)
  t.is(pipe.remoteAddress, `127.0.0.1:${listener.port}`)
  pipe.destroy()
  await listener.close()
  const error = await t.throwsAsync(transport.dial('node0', listener.port))
  t.is(error.message, 'ECONNREFUSED at ::1, ECONNREFUSED at 127.0.0.1')
  const reason = new Error('off')
  t.is(await t.throwsAsync(transport.dial('node0', listener.port, AbortSignal.abort(reason))), reason)
})

/** The port of a process that has been stopped, and whose queue of connections is full: the kernel answers nobody. */
const SILENT = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 },
  function () { console.log(this.address().port); process.kill(process.pid, 'SIGSTOP') })`

linuxTest('a dial that is not answered has a limit of its own, and does not hold up the next address', async (t) => {
  const child = spawn(process.execPath, ['-e', SILENT], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [printed] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(printed.toString())
  const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  t.teardown(() => fillers.forEach((socket) => socket.destroy()))
  await new Promise((resolve) => setTimeout(resolve, 300))
  const transport = tcpTransport({ lookup: knows('127.0.0.1', '127.0.0.2') })
  const error = await t.throwsAsync(transport.dial('127.0.0.1', port, undefined, { answerMs: 300 }))
  t.is(systemCode(error), 'ETIMEDOUT')
  t.regex(error.message, /127\.0\.0\.1:\d+ gave no answer within 300 ms/)
  const other = await tcp.listen('127.0.0.2', port, (pipe) => pipe.destroy())
  const pipe = await transport.dial('node0', port, undefined, { answerMs: 60_000 })
  t.regex(pipe.remoteAddress, /^127\.0\.0\.2:/)
  pipe.destroy()
  await other.close()
})
