// A client without the secret, as a process of its own, so that its memory and its event loop are not those of the rank that it
// attacks. Its first message is a plan: it opens connections, sends on each what it was given, and goes on until it is ended.
import { once } from 'node:events'
import { connect } from 'node:net'

const [plan] = /** @type {[import('./_attacks.ts').AttackPlan]} */ (await once(process, 'message'))
const streams = plan.streams.map((text) => Buffer.from(text, 'base64'))
const counts = { opened: 0, closed: 0, received: 0 }
const REOPEN_MS = 10

const tell = (type) => process.send?.({ type, ...counts })

/** Sends a stream at once, or a byte at a time. */
function send(socket, stream) {
  if (plan.byteEveryMs === undefined) return void socket.write(stream)
  let at = 0
  const timer = setInterval(() => {
    if (at < stream.length) socket.write(stream.subarray(at, ++at))
  }, plan.byteEveryMs)
  socket.once('close', () => clearInterval(timer))
}

function open(number) {
  const socket = connect({ host: plan.host, port: plan.port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  socket.once('connect', () => {
    if (++counts.opened === 1) tell('begun')
    const stream = streams[number % streams.length]
    if (stream) send(socket, stream)
  })
  socket.on('data', (chunk) => {
    counts.received += chunk.length
    if (plan.echoes) socket.write(chunk)
  })
  socket.once('end', () => socket.end())
  socket.once('close', () => {
    counts.closed++
    if (plan.reopens) setTimeout(open, REOPEN_MS, number)
  })
}

for (let number = 0; number < plan.count; number++) open(number)
process.on('message', () => tell('counts'))
process.once('disconnect', () => process.exit())
