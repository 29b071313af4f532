/** The store of this package: rank 0 hosts it, or a launcher does, and all ranks dial it over a transport. */
import type { Transport } from '../../../transport/transport.ts'
import type { Place } from '../../environment.ts'
import { retryWhileUnresolved } from '../../unresolved.ts'
import type { JoinOptions, Roster, Store } from '../store.ts'
import { dialledHost, formatStoreAddress, type StoreAddress } from './address.ts'
import { acquireStore, type HeldStore } from './hosted-stores.ts'
import { joinStore } from './join-store.ts'

export class TcpStore implements Store {
  readonly where: string
  readonly #place: Place
  readonly #address: StoreAddress
  readonly #transport: Transport
  #held: HeldStore | undefined

  constructor(place: Place, address: StoreAddress, transport: Transport) {
    this.where = formatStoreAddress(address)
    this.#place = place
    this.#address = address
    this.#transport = transport
  }

  async join(options: JoinOptions): Promise<Roster> {
    const [place, address, transport] = [this.#place, this.#address, this.#transport]
    const { signal, progress } = options
    const onUnresolved = (error: unknown): void => void (progress.lastError = error)
    if (place.hostsStore)
      this.#held = await retryWhileUnresolved(
        () => acquireStore(transport, address, place, signal),
        signal,
        onUnresolved,
      )
    const ports = this.#held === undefined ? address.ports : [this.#held.port]
    const isBehind = this.#held !== undefined && place.listen !== undefined
    const host = isBehind ? dialledHost(address.host, place.listen, place.host) : address.host
    return joinStore({ ...place, ...options, transport, host, ports })
  }

  async release(): Promise<void> {
    await this.#held?.release()
  }
}
