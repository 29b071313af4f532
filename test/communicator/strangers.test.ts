/** Connections of strangers, who say nothing, to the ports of ranks and of the store: they keep no rank out and hold none up. */
import { type Socket, connect as openSocket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectOver } from '../../ts/src/communicator/connect.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import { freePort } from '../rendezvous/_ports.ts'
import { onAll } from '../_world.ts'

/** Less than any limit of a handshake, and more than a busy machine needs. */
const LIMIT_MS = 3000

/** Idle connections; those that are re-opened come again whenever they are cut off, and so do those after half a second. */
class Strangers {
  readonly #sockets = new Set<Socket>()
  readonly #isReopened: boolean
  #hasEnded = false

  constructor(isReopened: boolean) {
    this.#isReopened = isReopened
  }

  come(port: number, count: number): Promise<void[]> {
    return Promise.all(Array.from({ length: count }, () => this.#open(port)))
  }

  #open(port: number): Promise<void> {
    const socket = openSocket(port, '127.0.0.1')
    this.#sockets.add(socket)
    socket.on('error', () => undefined).resume()
    const timer = this.#isReopened ? setTimeout(() => socket.destroy(), 500 * Math.random()) : undefined
    socket.on('close', () => {
      clearTimeout(timer)
      this.#sockets.delete(socket)
      if (this.#isReopened && !this.#hasEnded) setTimeout(() => this.#hasEnded || void this.#open(port), 1)
    })
    return new Promise((resolve) => socket.once('connect', () => resolve()).once('close', () => resolve()))
  }

  end(): void {
    this.#hasEnded = true
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** TCP, which tells where each rank listens. */
function observed(onPort: (port: number) => void): Transport {
  const listen: Transport['listen'] = async (host, port, accept) => {
    const listener = await tcp.listen(host, port, accept)
    onPort(listener.port)
    return listener
  }
  return { ...tcp, listen }
}

/** Connects a world; `onPort` is told of every port that is opened, the store's first. */
async function world(t: ExecutionContext, size: number, onPort: (port: number) => void): Promise<Communicator[]> {
  const port = await freePort()
  const options = { size, store: `127.0.0.1:${port}`, sharedMemory: false, timeoutMs: 20_000 }
  const transport = observed(onPort)
  const ranks = await Promise.all(
    Array.from({ length: size }, (_, rank) => connectOver(transport, { ...options, rank }, {})),
  )
  t.teardown(() => Promise.all(ranks.map((comm) => comm.close())))
  return ranks
}

for (const size of [2, 3, 4])
  test.serial(
    `41 idle connections to the port of each of ${size} ranks: its first collective is as good as ever`,
    async (t) => {
      const ports: number[] = []
      const ranks = await world(t, size, (port) => ports.push(port))
      const strangers = new Strangers(false)
      t.teardown(() => strangers.end())
      await Promise.all(ports.slice(1).map((port) => strangers.come(port, 41)))
      const begin = performance.now()
      const results = await onAll(ranks, (comm) => comm.allReduce(new Float32Array(10).fill(1), { op: 'sum' }))
      const elapsedMs = performance.now() - begin
      for (const { result } of results) t.is(result[9], size)
      t.true(elapsedMs < LIMIT_MS, `${elapsedMs} ms`)
    },
  )

for (const size of [2, 4])
  test.serial(`60 connections to every port of ${size} ranks and their store, opened again and again`, async (t) => {
    const strangers = new Strangers(true)
    t.teardown(() => strangers.end())
    const begin = performance.now()
    const ranks = await world(t, size, (port) => void strangers.come(port, 60))
    const results = await onAll(ranks, (comm) => comm.allReduce(new Float32Array(10).fill(1), { op: 'sum' }))
    const elapsedMs = performance.now() - begin
    for (const { result } of results) t.is(result[9], size)
    t.true(elapsedMs < 2 * LIMIT_MS, `${elapsedMs} ms`)
  })
