/** Two ends of a connection inside this process. */
import type { Pipe } from '../../ts/src/transport/transport.ts'
import { createMemoryTransport, type MemoryTransportOptions } from '../transport/_memory.ts'

export async function connectPair(options: MemoryTransportOptions = {}): Promise<[dialled: Pipe, accepted: Pipe]> {
  const transport = createMemoryTransport(options)
  let onPipe: (pipe: Pipe) => void
  const accepted = new Promise<Pipe>((resolve) => (onPipe = resolve))
  const listener = await transport.listen('127.0.0.1', 0, (pipe) => onPipe(pipe))
  const pair: [Pipe, Pipe] = [await transport.dial('127.0.0.1', listener.port), await accepted]
  await listener.close()
  return pair
}
