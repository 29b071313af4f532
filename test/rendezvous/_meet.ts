/** A rank that meets the others with a port of its own, as a session does. */
import { crc32 } from 'node:zlib'
import type { Place } from '../../ts/src/rendezvous/environment.ts'
import { type Meeting, rendezvous, type RendezvousOptions } from '../../ts/src/rendezvous/rendezvous.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import type { OnPeer } from '../../ts/src/wire/acceptor.ts'
import { Port } from '../../ts/src/world/port.ts'

export interface MeetingAtPort extends Meeting {
  readonly port: Port
  leave(): Promise<void>
}

export async function meetAtPort(
  place: Place,
  transport: Transport,
  { onPeer = (_, pipe) => pipe.destroy(), ...change }: Partial<RendezvousOptions> & { onPeer?: OnPeer } = {},
): Promise<MeetingAtPort> {
  const port = new Port(place, { transport }, false, { areWanted: () => false, crc32 })
  const announce = (localHost: string) => port.open(localHost)
  try {
    const meeting = await rendezvous(place, { transport, timeoutMs: place.timeoutMs, announce, ...change })
    port.begin(meeting.runId, 1, onPeer)
    return { ...meeting, port, leave: async () => void (await Promise.all([port.close(), meeting.release()])) }
  } catch (error) {
    await port.close(error)
    throw error
  }
}
