/** Connections on which bytes are changed, lost, repeated or exchanged on the way. */
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'

export const DAMAGES = ['flipped', 'dropped', 'repeated', 'exchanged'] as const

export interface Damage {
  readonly kind: (typeof DAMAGES)[number]
  /** Which bytes of the stream: so many from there; `exchanged` with as many behind them. */
  readonly at: number
  readonly byteLength: number
}

function damaged({ kind, byteLength }: Damage, range: Uint8Array): Uint8Array {
  const [first, second] = [range.subarray(0, byteLength), range.subarray(byteLength)]
  if (kind === 'flipped') return first.map((byte, i) => (i === byteLength >> 1 ? byte ^ 16 : byte))
  if (kind === 'dropped') return new Uint8Array(0)
  return Buffer.concat(kind === 'repeated' ? [first, first] : [second, first])
}

/** What becomes of a stream, write by write. */
function damagedStream(damage: Damage): (bytes: Uint8Array) => Uint8Array {
  const end = damage.at + damage.byteLength * (damage.kind === 'exchanged' ? 2 : 1)
  let offset = 0
  const held: Uint8Array[] = []
  return (bytes) => {
    const from = Math.min(Math.max(damage.at - offset, 0), bytes.length)
    const to = Math.min(Math.max(end - offset, 0), bytes.length)
    const isLast = offset < end && offset + bytes.length >= end
    offset += bytes.length
    if (from < to) held.push(bytes.slice(from, to))
    const range = isLast ? damaged(damage, Buffer.concat(held)) : new Uint8Array(0)
    return Buffer.concat([bytes.subarray(0, from), range, bytes.subarray(to)])
  }
}

/** The pipe, whose other end gets a damaged stream. */
export function damagedPipe(pipe: Pipe, damage: Damage): Pipe {
  const stream = damagedStream(damage)
  const write: Pipe['write'] = (bytes, done) => pipe.write(stream(bytes), done)
  return new Proxy(pipe, {
    get: (target, name) => {
      if (name === 'write') return write
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** The transport, whose accepted connections are what `change` makes of them. */
export function withAccepted(transport: Transport, change: (pipe: Pipe) => Pipe): Transport {
  return { ...transport, listen: (host, port, accept) => transport.listen(host, port, (pipe) => accept(change(pipe))) }
}
