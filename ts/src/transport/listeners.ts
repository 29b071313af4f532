import type { Listener } from './transport.ts'

/** Several listeners as one, of which the first has the address. */
export function joinListeners(each: readonly Listener[]): Listener {
  const { host, port } = each[0]!
  return {
    host,
    port,
    close: async () => void (await Promise.all(each.map((one) => one.close()))),
    ref: () => each.forEach((one) => one.ref()),
    unref: () => each.forEach((one) => one.unref()),
  }
}
