import type { Listener } from './transport.ts'

/** Several listeners as one, of which the first has the address. */
export function joinListeners(each: readonly Listener[]): Listener {
  const { host, port } = each[0]!
  return {
    host,
    port,
    close: async () => {
      // One after the other: a peer that finds the last one gone, and the first still there, would take it for out of reach.
      for (const one of each) await one.close()
    },
    ref: () => each.forEach((one) => one.ref()),
    unref: () => each.forEach((one) => one.unref()),
  }
}
