/** What clients without the secret do at a port, as plans that `_attacker.mjs` carries out. */
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { encodeHello, HELLO_BYTE_LENGTH, type Purpose } from '../../../ts/src/wire/handshake-format.ts'
import { mulberry32 } from '../../transport/_random.ts'
import type { Stage } from './_stage.ts'

export interface AttackPlan {
  readonly host: string
  readonly port: number
  /** How many connections there are. */
  readonly count: number
  /** What is sent on them, in turn, in base64; nothing where there is none. */
  readonly streams: readonly string[]
  /** A byte at a time, so often; all at once if absent. */
  readonly byteEveryMs?: number
  /** Whether what comes is sent back. */
  readonly echoes?: boolean
  /** Whether another connection takes the place of each that is cut off. */
  readonly reopens?: boolean
}

export type Attack = Omit<AttackPlan, 'host' | 'port'>

const text = (...streams: Uint8Array[]): string[] => streams.map((bytes) => Buffer.from(bytes).toString('base64'))

/** The hello of a rank, which somebody on the way knows but for the proof that follows. */
function helloOf(stage: Stage, port: Purpose): Uint8Array {
  return encodeHello({ ...stage.identity(port), role: 'dialler', nonce: new Uint8Array(32).fill(9) })
}

/** What a client of TLS says first, which has another key. */
async function clientHello(): Promise<Uint8Array> {
  const psk = new Uint8Array(32).fill(5)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const options = { minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256', checkServerIdentity: () => undefined }
  const pskCallback = () => ({ psk, identity: 'adasum' })
  const client = connectTls({ host: '127.0.0.1', port, pskCallback, ...options } as ConnectionOptions)
  client.on('error', () => undefined)
  const [accepted] = (await once(server, 'connection')) as [Socket]
  const [hello] = (await once(accepted, 'data')) as [Uint8Array]
  for (const socket of [client, accepted]) socket.destroy()
  server.close()
  return hello
}

/** All that a rank sends at a port when it comes in, encrypted or not, as somebody on the way records it. */
export async function recordingOf(stage: Stage, port: Purpose): Promise<Uint8Array> {
  const recorded: Uint8Array[] = []
  const sockets: Socket[] = []
  const relay = createServer((near) => {
    const far = createConnection(stage.ports[port], stage.place.host)
    for (const socket of [near, far]) sockets.push(socket.on('error', () => undefined))
    near.on('data', (bytes: Buffer) => recorded.push(bytes)).pipe(far)
    far.pipe(near)
  })
  relay.listen(0, stage.place.host)
  await once(relay, 'listening')
  const pipe = await stage.dial(port, (relay.address() as AddressInfo).port)
  pipe.destroy()
  for (const socket of sockets) socket.destroy()
  relay.close()
  return Buffer.concat(recorded)
}

function garbage(seed: number): Uint8Array[] {
  const random = mulberry32(seed)
  return Array.from({ length: 64 }, () =>
    Uint8Array.from({ length: 1 + Math.floor(random() * 2000) }, () => Math.floor(random() * 256)),
  )
}

/** Lengths that no message has: a frame's 2^53, a record's 2^14 and more, 2 GiB, as many as a u32 counts. */
function oversized(): Uint8Array[] {
  const number = new Uint8Array(8)
  new DataView(number.buffer).setFloat64(0, 2 ** 53)
  const huge = Uint8Array.of(0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
  const record = Uint8Array.of(0x16, 0x03, 0x01, 0xff, 0xff, 0x01, 0xff, 0xff, 0xff)
  const padding = new Uint8Array(64 << 10)
  return [number, huge, record].map((head) => Buffer.concat([head, padding]))
}

export const ATTACKS: Readonly<Record<string, (stage: Stage, port: Purpose, seed: number) => Promise<Attack>>> = {
  flood: async () => ({ count: 5000, streams: [] }),
  'kept open': async () => ({ count: 400, streams: [], reopens: true }),
  'slow bytes': async (stage, port) => ({
    ...{ count: 200, streams: text(helloOf(stage, port), await clientHello()), byteEveryMs: 1000, reopens: true },
  }),
  'half handshakes': async (stage, port) => ({ count: 400, streams: text(helloOf(stage, port)) }),
  'half handshakes of TLS': async (stage, port) => {
    // A recorded one is in order: what the rank says next would have to follow it.
    const recorded = await recordingOf(stage, port)
    return { count: 400, streams: text(await clientHello(), recorded.subarray(0, firstMessageLength(recorded))) }
  },
  replay: async (stage, port) => ({ count: 400, streams: text(await recordingOf(stage, port)) }),
  reflection: async (stage, port) => ({ count: 400, streams: text(helloOf(stage, port)), echoes: true }),
  garbage: async (_, __, seed) => ({ count: 1000, streams: text(...garbage(seed)) }),
  oversized: async () => ({ count: 400, streams: text(...oversized()) }),
}

/** The first record of TLS, or a hello of ours. */
function firstMessageLength(bytes: Uint8Array): number {
  return bytes[0] === 0x16 ? 5 + bytes[3]! * 256 + bytes[4]! : HELLO_BYTE_LENGTH
}
