/**
 * A world that strangers attack: rank 0 is a process of its own (`_victim.mjs`), rank 1 is in this process, and whoever
 * attacks is a third one (`_attacker.mjs`). Rank 0 has three ports: that of its store, its own, and its heartbeat's.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Communicator } from '../../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../../ts/src/communicator/connect.ts'
import type { HeartbeatOptions } from '../../../ts/src/heartbeat/heartbeat.ts'
import { securedTcp } from '../../../ts/src/transport/secured.ts'
import type { TlsSetting } from '../../../ts/src/transport/tls.ts'
import type { Pipe, Transport } from '../../../ts/src/transport/transport.ts'
import { dialAuthenticated } from '../../../ts/src/wire/authenticated.ts'
import { NEWS_GROUP_ID, type Purpose, STORE_RANK } from '../../../ts/src/wire/handshake-format.ts'
import type { DialIdentity } from '../../../ts/src/wire/handshake.ts'
import { NODE_WAYS, type Ways } from '../../../ts/src/world/ways.ts'
import type { ConnectOptions } from '../../../ts/src/connect-options.ts'
import { QUIET } from '../../cli/_adasum.ts'
import { freePort } from '../../rendezvous/_ports.ts'
import type { AttackPlan } from './_attacks.ts'

export type PortName = Purpose
export const PORT_NAMES: readonly PortName[] = ['store', 'peer', 'heartbeat']

const SIZE = 2
const MEBIBYTE = 2 ** 20
/** For anything that a loaded machine may delay. */
const PATIENCE_MS = 60_000

/** Where the ranks are: on the loopback interface, or at an address beyond it, where connections are encrypted anyway. */
export interface Place {
  readonly name: string
  readonly host: string
  readonly tls: Exclude<TlsSetting, object>
  /** How many files rank 0 may have open; as many as this process if absent. */
  readonly openFiles?: number
}

const own = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === 'IPv4' && !each.internal)?.address

export const PLAIN: Place = { name: 'plain, loopback', host: '127.0.0.1', tls: 'default' }
export const ENCRYPTED: Place =
  own === undefined
    ? { name: 'encrypted, loopback', host: '127.0.0.1', tls: 'psk' }
    : { name: 'encrypted, beyond loopback', host: own, tls: 'default' }

/** The least that a system gives by default. */
export const FEW_FILES: Place = { name: 'few open files', host: '127.0.0.1', tls: 'default', openFiles: 256 }

export interface Memory {
  readonly rss: number
  readonly peak: number
}

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly failure?: { readonly code?: string; readonly message: string }
}

/** A process to which acts are told by name. */
class Victim {
  readonly #child: ChildProcess
  readonly #answers = new Map<number, (answer: Answer) => void>()
  readonly ended: Promise<{ exitCode: number | null; stderr: string }>
  #lastId = 0

  constructor(env: NodeJS.ProcessEnv, openFiles?: number) {
    const script = fileURLToPath(new URL('_victim.mjs', import.meta.url))
    const limited = { execPath: 'prlimit', execArgv: [`--nofile=${openFiles}`, process.execPath] }
    const how = openFiles === undefined ? { execArgv: [] } : limited
    const child = fork(script, [], { env, ...how, stdio: ['ignore', 'inherit', 'pipe', 'ipc'] })
    this.#child = child
    let stderr = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('message', (answer: Answer) => this.#answers.get(answer.id)?.(answer))
    this.ended = new Promise((resolve) => child.once('close', (exitCode) => resolve({ exitCode, stderr })))
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Resolves when it has joined the world. */
  joined(): Promise<unknown> {
    return this.#answer(0, 'joined')
  }

  tell(act: string): Promise<unknown> {
    const id = ++this.#lastId
    const answer = this.#answer(id, act)
    this.#child.send({ id, act })
    return answer
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #answer(id: number, what: string): Promise<unknown> {
    const said = new Promise<Answer>((resolve) => this.#answers.set(id, resolve))
    const gone = this.ended.then(({ exitCode, stderr }) => {
      throw new Error(`the rank ended with ${exitCode} (${what}): ${stderr}`)
    })
    const { value, failure } = await within(Promise.race([said, gone]), what)
    if (failure) throw new Error(`${what}: ${failure.code} ${failure.message}`)
    return value
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE_MS} ms`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

interface Counts {
  readonly type: string
  readonly opened: number
  readonly closed: number
  readonly received: number
}

/** An attack that goes on until it is ended. */
export class Attack {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Resolves when the first connection is open. */
  static async begin(plan: AttackPlan): Promise<Attack> {
    const script = fileURLToPath(new URL('_attacker.mjs', import.meta.url))
    const child = fork(script, { execArgv: [] })
    child.send(plan)
    await within(new Promise((resolve) => child.once('message', resolve)), 'the first connection')
    return new Attack(child)
  }

  async counts(): Promise<Counts> {
    const told = new Promise<Counts>((resolve) => this.#child.once('message', (counts: Counts) => resolve(counts)))
    this.#child.send('counts')
    return within(told, 'counts of the attacker')
  }

  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await closed
  }
}

interface StageOptions {
  /** Gets the pipes that rank 0 dials here, of which it reads what this rank sends. */
  readonly onAccepted?: (pipe: Pipe) => void
}

export class Stage {
  readonly place: Place
  readonly victim: Victim
  readonly comm: Communicator
  readonly ports: Readonly<Record<PortName, number>>
  readonly secret: string
  readonly runId: Uint8Array
  readonly #options: ConnectOptions
  readonly #transport: Transport

  private constructor(
    place: Place,
    victim: Victim,
    comm: Communicator,
    options: ConnectOptions & { secret: string },
    { runId, peers }: HeartbeatOptions,
  ) {
    this.place = place
    this.victim = victim
    this.comm = comm
    this.#options = options
    this.secret = options.secret
    this.runId = runId
    const { port, heartbeatPort } = peers[0]!
    this.ports = { store: Number(options.store!.split(':').at(-1)), peer: port, heartbeat: heartbeatPort! }
    this.#transport = securedTcp(options.secret, place.tls)
  }

  static async open(place: Place, { onAccepted }: StageOptions = {}): Promise<Stage> {
    const store = `${place.host}:${await freePort()}`
    const secret = randomBytes(32).toString('hex')
    const tls = place.tls === 'default' ? undefined : place.tls
    const common = { size: SIZE, store, host: place.host, secret, ...(tls && { tls }) }
    const options = { ...common, rank: 1, sharedMemory: false, timeoutMs: PATIENCE_MS } satisfies ConnectOptions
    const victim = new Victim(environment(common), place.openFiles)
    const seen: HeartbeatOptions[] = []
    const ways: Ways = {
      ...NODE_WAYS,
      secured: (...how) => observed(securedTcp(...how), onAccepted),
      beginHeartbeat: (heartbeat) => {
        seen.push(heartbeat)
        return NODE_WAYS.beginHeartbeat!(heartbeat)
      },
    }
    try {
      const [comm] = await Promise.all([
        connectBy(ways, options, {}).then(async (one) => (await one.barrier(), one)),
        victim.joined(),
      ])
      const stage = new Stage(place, victim, comm, options, seen[0]!)
      await stage.#heartbeatListens()
      return stage
    } catch (error) {
      victim.kill()
      throw error
    }
  }

  /** Its thread opens the port a moment later than the others. */
  async #heartbeatListens(): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; ; await sleep(20))
      try {
        await this.joinMs('heartbeat')
        return
      } catch (error) {
        if (performance.now() > end) throw error
      }
  }

  identity(purpose: Purpose): DialIdentity {
    const runId = purpose === 'store' ? new Uint8Array(16) : this.runId
    const peerRank = purpose === 'store' ? STORE_RANK : 0
    const groupId = purpose === 'peer' ? { groupId: NEWS_GROUP_ID } : {}
    return { runId, rank: 1, size: SIZE, peerRank, purpose, secret: this.secret, ...groupId }
  }

  /** How long a rank needs that comes to a port: at the store, until it has joined a world and met its peer there. */
  async joinMs(port: PortName): Promise<number> {
    const begin = performance.now()
    if (port === 'store') await Promise.all([this.#joinAgain(), this.victim.tell('join')])
    else (await this.dial(port, this.ports[port])).destroy()
    return performance.now() - begin
  }

  dial(purpose: Purpose, port: number) {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    return dialAuthenticated(this.#transport, this.place.host, port, this.identity(purpose), signal)
  }

  async #joinAgain(): Promise<void> {
    const comm = await connectBy(NODE_WAYS, this.#options, {})
    await comm.barrier()
    await comm.close()
  }

  async memory(): Promise<Memory> {
    return (await this.victim.tell('memory')) as Memory
  }

  /** From now on the peak of its memory counts anew. */
  forgetPeak(): void {
    writeFileSync(`/proc/${this.victim.pid}/clear_refs`, '5')
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.comm.close(), this.victim.tell('leave')])
    this.victim.kill()
    await this.victim.ended
  }
}

/** A transport that shows the pipes that it accepts. */
function observed(transport: Transport, onAccepted: (pipe: Pipe) => void = () => undefined): Transport {
  const listen: Transport['listen'] = (host, port, accept, limits) =>
    transport.listen(host, port, (pipe) => (onAccepted(pipe), accept(pipe)), limits)
  return { ...transport, listen }
}

function environment({
  size,
  store,
  host,
  secret,
  tls,
}: {
  size: number
  store: string
  host: string
  secret: string
  tls?: string
}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ADASUM_|NODE_OPTIONS$)/.test(name))
  return {
    ...Object.fromEntries(inherited),
    ...QUIET,
    ADASUM_RANK: '0',
    ADASUM_SIZE: String(size),
    ADASUM_STORE: store,
    ADASUM_HOST: host,
    ADASUM_SECRET: secret,
    ADASUM_SHARED_MEMORY: '0',
    ...(tls && { ADASUM_TLS: tls }),
  }
}

/** One attack on one port: how long ranks needed that came meanwhile, and by how much the memory grew at most. */
export async function suffer(stage: Stage, port: PortName, plan: Omit<AttackPlan, 'host' | 'port'>, joins = 5) {
  stage.forgetPeak()
  const before = await stage.memory()
  const attack = await Attack.begin({ ...plan, host: stage.place.host, port: stage.ports[port] })
  const joinMs: number[] = []
  try {
    for (let join = 0; join < joins; join++) joinMs.push(await stage.joinMs(port))
    const { opened, closed } = await attack.counts()
    const { peak } = await stage.memory()
    return { joinMs, opened, closed, rssMiB: (peak - before.rss) / MEBIBYTE }
  } finally {
    await attack.end()
  }
}
