/** Ports for stores: below the range from which the system takes the local ports of connections. */
import { tcp } from '../../ts/src/transport/tcp.ts'

/** A port of 127.0.0.1 that is free now, as are the `extra` ports above it. */
export async function freePort(extra = 0): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    try {
      for (let offset = 0; offset <= extra; offset++) {
        const listener = await tcp.listen('127.0.0.1', port + offset, (pipe) => pipe.destroy())
        await listener.close()
      }
      return port
    } catch {
      // Taken: the next one.
    }
  }
}
