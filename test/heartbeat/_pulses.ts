/** Heartbeats of several ranks in this thread, over TCP, and what can be done to the ways between them. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'
import type { HeartbeatAddress } from '../../ts/src/heartbeat/lines.ts'
import type { Loss } from '../../ts/src/heartbeat/messages.ts'
import { Pulse, type PulseOptions } from '../../ts/src/heartbeat/pulse.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Pipe } from '../../ts/src/transport/transport.ts'
import { listenAuthenticated } from '../../ts/src/wire/authenticated.ts'

const HOST = '127.0.0.1'
export const IDENTITY = { runId: new Uint8Array(16).fill(7), tls: 'default' as const, secret: 'heartbeats' }

/** A port at which nobody listens. */
export async function freePort(): Promise<number> {
  const listener = await tcp.listen(HOST, 0, (pipe) => pipe.destroy())
  await listener.close()
  return listener.port
}

/** Listens until the test ends. */
export async function listenAt(
  t: ExecutionContext,
  port: number,
  accept: (socket: Socket) => unknown,
): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    accept(socket)
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  server.listen(port, HOST)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Ranks whose main threads compute, and so do not answer, and whose heartbeats have ports but do not listen yet. */
export async function addresses(t: ExecutionContext, size: number): Promise<HeartbeatAddress[]> {
  const ranks = Array.from({ length: size }, async () => {
    const port = await listenAt(t, 0, () => undefined)
    return { host: HOST, port, heartbeatPort: await freePort() }
  })
  return Promise.all(ranks)
}

export class TestPulse {
  readonly rank: number
  readonly losses: Loss[] = []
  readonly heardCounts: Uint32Array
  readonly pulse: Pulse
  readonly #listeners = new Set<() => void>()

  constructor(t: ExecutionContext, rank: number, peers: readonly HeartbeatAddress[], options: Partial<PulseOptions>) {
    this.rank = rank
    this.heardCounts = new Uint32Array(new SharedArrayBuffer(peers.length * 4))
    const { heardCounts } = this
    const place = { rank, size: peers.length, peers, host: HOST, heardCounts, startMs: 500 }
    this.pulse = new Pulse({ ...IDENTITY, ...place, failureTimeoutMs: 1000, ...options }, (loss) => {
      this.losses.push(loss)
      for (const listener of this.#listeners) listener()
    })
    t.teardown(() => this.pulse.end())
    this.pulse.begin()
  }

  /** Resolves once it knows of so many losses; the run's own limit ends a wait that is in vain. */
  async hasLost(count: number): Promise<readonly Loss[]> {
    while (this.losses.length < count)
      await new Promise<void>((resolve) => {
        const listener = (): void => {
          this.#listeners.delete(listener)
          resolve()
        }
        this.#listeners.add(listener)
      })
    return this.losses
  }
}

/** A rank that lets its peers in and never says anything. */
export async function mute(t: ExecutionContext, rank: number, peers: readonly HeartbeatAddress[]): Promise<void> {
  const pipes = new Set<Pipe>()
  const local = { ...IDENTITY, rank, size: peers.length, purpose: 'heartbeat' } as const
  const onPeer = (_: number, pipe: Pipe): void => {
    pipe.setSink({ target: () => new Uint8Array(64), onFilled: () => undefined, onEnd: () => pipe.destroy() })
    pipes.add(pipe)
  }
  const listener = await listenAuthenticated(tcp, HOST, peers[rank]!.heartbeatPort!, local, onPeer)
  t.teardown(async () => {
    for (const pipe of pipes) pipe.destroy()
    await listener.close()
  })
}

/** The port of a process that has been stopped, and whose queue of connections is full: the kernel answers nobody. */
export async function silentPort(t: ExecutionContext): Promise<number> {
  const program = `require('net').createServer().listen({ port: 0, host: '${HOST}', backlog: 1 },
    function () { console.log(this.address().port); process.kill(process.pid, 'SIGSTOP') })`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [printed] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(printed.toString())
  const fillers = Array.from({ length: 8 }, () => connect(port, HOST).on('error', () => undefined))
  t.teardown(() => fillers.forEach((socket) => socket.destroy()))
  await Promise.all(fillers.slice(0, 2).map((socket) => once(socket, 'connect')))
  return port
}

/** Lets a rank's main thread answer. */
export async function answering(
  t: ExecutionContext,
  rank: number,
  peers: readonly HeartbeatAddress[],
): Promise<number> {
  const local = { ...IDENTITY, rank, size: peers.length, purpose: 'peer' } as const
  const listener = await listenAuthenticated(tcp, HOST, 0, local, (_, pipe) => pipe.destroy())
  t.teardown(() => listener.close())
  return listener.port
}

/** A port before a rank's heartbeat, which from some moment on swallows what that rank sends, and nothing else. */
export class Relay {
  readonly port: Promise<number>
  #swallows = false

  constructor(t: ExecutionContext, { heartbeatPort }: HeartbeatAddress) {
    this.port = listenAt(t, 0, (socket) => {
      const behind = connect(heartbeatPort!, HOST).on('error', () => socket.destroy())
      socket.pipe(behind)
      behind.on('data', (bytes) => this.#swallows || socket.write(bytes)).on('close', () => socket.destroy())
      socket.on('close', () => behind.destroy())
    })
  }

  swallow(): void {
    this.#swallows = true
  }
}

/** The addresses as one rank sees them: it reaches another one through a relay. */
export async function through(
  relay: Relay,
  peer: number,
  peers: readonly HeartbeatAddress[],
): Promise<HeartbeatAddress[]> {
  return peers.with(peer, { ...peers[peer]!, heartbeatPort: await relay.port })
}
