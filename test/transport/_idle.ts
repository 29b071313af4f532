/** A process that holds an idle pair of pipes, each of so many connections: `_idle.ts tcp|tls|unix|memory ref|unref 2`. */
import { createMemoryTransport } from './_memory.ts'
import { tcp, tcpTransport } from '../../ts/src/transport/tcp.ts'
import { encryptionOf } from '../../ts/src/transport/tls.ts'
import { unixTransport } from '../../ts/src/transport/unix.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { striped } from './_striped.ts'

const [name, mode, count] = process.argv.slice(2)
const TRANSPORTS: Record<string, () => Transport> = {
  tcp: () => tcp,
  tls: () => tcpTransport({ encryption: encryptionOf('a secret', 'psk') }),
  unix: () => unixTransport('idle'),
  memory: createMemoryTransport,
}
const one = TRANSPORTS[name!]!()
const transport = striped(one, Number(count))
let accept: (pipe: Pipe) => void = () => {}
const arrival = new Promise<Pipe>((resolve) => (accept = resolve))
const listener = await transport.listen('127.0.0.1', 0, accept)
const dialled = await transport.dial('127.0.0.1', listener.port)
const accepted = await arrival
const sink = { target: () => new Uint8Array(16), onFilled: () => {}, onEnd: () => {} }
for (const pipe of [dialled, accepted]) pipe.setSink(sink)
dialled.write(new Uint8Array(5))
listener.unref()
accepted.unref()
dialled.unref()
if (mode === 'ref') dialled.ref()
