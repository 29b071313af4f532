/** How a process checks what its peers send over connections that are not encrypted. */
import { crc32 } from '#platform'
import type { Binding } from '../binding/binding.ts'
import type { Place } from '../rendezvous/environment.ts'
import { hostOf, isLoopback } from '../transport/address.ts'
import type { Checksums } from '../wire/checked-pipe.ts'

export function checksumsOf({ checksums, tls }: Pick<Place, 'checksums' | 'tls'>, binding: Binding): Checksums {
  return {
    areWanted: (remoteAddress) =>
      checksums === 'default' ? tls === 'off' && !isLoopback(hostOf(remoteAddress)) : checksums === 'on',
    crc32: binding.crc32 ?? crc32,
  }
}
