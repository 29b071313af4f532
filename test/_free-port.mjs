// A port for the store of a program that Node.js runs as it is; test/rendezvous/_ports.ts is for tests.

import { once } from 'node:events'
import { createServer } from 'node:net'

/** @returns {Promise<number>} a port of 127.0.0.1 that is free now */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  await once(server, 'close')
  return address.port
}
