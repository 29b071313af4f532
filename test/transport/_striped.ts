/** Transports whose pipes are several connections of another transport. */
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { StripeGathering, dialStriped } from '../../ts/src/world/stripes.ts'

export interface StripedTransport extends Transport {
  /** The connections that were dialled, in the order in which they opened. */
  readonly dialled: readonly Pipe[]
}

export function striped(inner: Transport, count: number, stripeByteLength?: number): StripedTransport {
  const dialled: Pipe[] = []
  return {
    name: inner.name,
    dialled,
    listen: (host, port, accept) => {
      const gathering = new StripeGathering(count, (_, pipe) => accept(pipe), stripeByteLength)
      return inner.listen(host, port, (pipe) => gathering.accept(0, pipe, ''))
    },
    dial: (host, port, signal) => {
      const dial = async (): Promise<Pipe> => {
        const pipe = await inner.dial(host, port, signal)
        dialled.push(pipe)
        return pipe
      }
      return dialStriped(count, dial, stripeByteLength)
    },
  }
}
