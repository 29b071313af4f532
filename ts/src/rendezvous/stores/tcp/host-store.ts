/**
 * The store: where the ranks of a world meet and learn each other's addresses.
 *
 * It works in rounds. Every rank joins and stays connected; while some ranks are missing, the store tells the others
 * which. When all have come, the store gives each the addresses of all and a fresh run id, and the next round begins.
 * So the ranks can connect again after a failure, or a second time for another communicator. A rank whose connection
 * breaks before its round is complete has left the round. The store tells the others that it had come, and which
 * connections were refused.
 *
 * A machine that vanishes does not close its connection. So when a process claims a rank that another connection has,
 * the store asks that connection for a sign of life, and gives the rank to the new process if none comes.
 */
import { randomBytes } from 'node:crypto'
import { AdasumError, systemCode } from '../../../errors.ts'
import { formatAddress } from '../../../transport/address.ts'
import { isUnresolved, systemReason } from '../../../transport/names.ts'
import { DEFAULT_FAILURE_TIMEOUT_MS, failureLimits } from '../../../timing/failure-limits.ts'
import { patientTimeout } from '../../../timing/patience.ts'
import { tcp } from '../../../transport/tcp.ts'
import type { Listener, Pipe, Transport } from '../../../transport/transport.ts'
import type { ListenOptions } from '../../../wire/acceptor.ts'
import { listenAuthenticated } from '../../../wire/authenticated.ts'
import { RUN_ID_BYTE_LENGTH, STORE_RANK } from '../../../wire/handshake-format.ts'
import {
  addressOf,
  encodeMessage,
  MessageDecoder,
  parseRankMessage,
  type JoinMessage,
  type StartMessage,
  type StoreMessage,
} from './messages.ts'
import { NO_REFUSALS, type Refusals, withRefusal } from '../../refusals.ts'

// How long a rank may take to close its connection once it has its answer.
const FAREWELL_MS = 5000
// Many connections may be refused at once: the ranks are told of them together.
const REFUSAL_NEWS_MS = 100

export interface HostStoreOptions extends ListenOptions {
  host: string
  /** 0 chooses a free one. */
  port: number
  size: number
  /** Empty: none, which is for loopback only. */
  secret: string
  /** 16 bytes that ranks must present; zero by default. */
  jobId?: Uint8Array
  transport?: Transport
  /** Called with the ranks that wait in the open round, in order, whenever they have changed. */
  onWaiting?: ((ranks: readonly number[]) => void) | undefined
}

export interface HostedStore {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

/**
 * Hosts a store. It does not keep the process alive by itself.
 *
 * @throws AdasumError ERR_STORE if the address cannot be had; ERR_AUTH beyond loopback without a secret
 */
export async function hostStore(options: HostStoreOptions): Promise<HostedStore> {
  const {
    host,
    port,
    size,
    secret,
    transport = tcp,
    jobId = new Uint8Array(RUN_ID_BYTE_LENGTH),
    onRefused,
    onWaiting,
    ...limits
  } = options
  const rounds = new Rounds(size, onWaiting)
  const admit = (rank: number) => rounds.admit(rank)
  const identity = { runId: jobId, rank: STORE_RANK, size, purpose: 'store', secret, admit } as const
  let listener: Listener
  try {
    const onPeer = (rank: number, pipe: Pipe) => rounds.enter(rank, pipe)
    const noteRefused = (error: unknown, remoteAddress: string) => {
      rounds.onRefused(error)
      onRefused?.(error, remoteAddress)
    }
    listener = await listenAuthenticated(transport, host, port, identity, onPeer, { ...limits, onRefused: noteRefused })
  } catch (cause) {
    if (cause instanceof AdasumError) throw cause
    const message = `the store cannot listen at ${formatAddress(host, port)} (${systemReason(cause)}): ${whyNot(cause)}`
    throw new AdasumError('ERR_STORE', message, { cause })
  }
  listener.unref()
  const close = async () => {
    await listener.close()
    await rounds.close()
  }
  return { host: listener.host, port: listener.port, close }
}

function whyNot(error: unknown): string {
  if (isUnresolved(error)) return 'the name does not resolve here, check it'
  const code = systemCode(error)
  if (code === 'EADDRINUSE') return 'another program or another run has this port, choose another address'
  if (code === 'EADDRNOTAVAIL')
    return 'it is no address of this machine, choose another address, or the one to listen on by ADASUM_LISTEN'
  return 'choose another address'
}

interface Member {
  readonly pipe: Pipe
  /** Absent until the rank has sent its address. */
  join: JoinMessage | undefined
  /** Pending while the rank is asked for a sign of life: resolves with whether it has answered. */
  signOfLife: Promise<boolean> | undefined
  onAnswer: ((isAlive: boolean) => void) | undefined
}

class Rounds {
  readonly #size: number
  readonly #onWaiting: (ranks: readonly number[]) => void
  /** The ranks of the round that is open. */
  readonly #members: Map<number, Member> = new Map()
  readonly #pipes: Set<Pipe> = new Set()
  /** Ranks that had come to this round and are gone. */
  readonly #left: Set<number> = new Set()
  /** Refused connections since this round began. */
  #refusals: Refusals = NO_REFUSALS
  #refusalNews: NodeJS.Timeout | undefined

  constructor(size: number, onWaiting: (ranks: readonly number[]) => void = () => {}) {
    this.#size = size
    this.#onWaiting = onWaiting
  }

  /** Whether a rank may come in: its place is free, or whoever has it gives no sign of life. */
  async admit(rank: number): Promise<boolean> {
    const holder = this.#members.get(rank)
    if (holder === undefined) return true
    const isAlive = await this.#isAlive(holder)
    // Its round may be over, or another claim may have come first.
    if (this.#members.get(rank) !== holder) return !this.#members.has(rank)
    if (!isAlive) this.#leave(rank, holder)
    // The round may have waited for the answer.
    else this.#onJoin()
    return !isAlive
  }

  enter(rank: number, pipe: Pipe): void {
    // Two claims at the same time may both be admitted. The second is cut off and dials again, when the first counts as
    // the holder.
    if (this.#members.has(rank)) return pipe.destroy()
    pipe.unref()
    this.#pipes.add(pipe)
    void pipe.closed.then(() => this.#pipes.delete(pipe))
    const member: Member = { pipe, join: undefined, signOfLife: undefined, onAnswer: undefined }
    this.#members.set(rank, member)
    const leave = () => this.#leave(rank, member)
    pipe.setSink(
      new MessageDecoder({
        onMessage: (value) => {
          const message = parseRankMessage(value)
          if (message?.type === 'pong' && member.onAnswer !== undefined) return member.onAnswer(true)
          if (message?.type !== 'join' || member.join !== undefined) return leave()
          member.join = message
          this.#left.delete(rank)
          this.#onJoin()
        },
        onMalformed: leave,
        onEnd: leave,
      }),
    )
  }

  onRefused(error: unknown): void {
    this.#refusals = withRefusal(this.#refusals, error)
    const tell = () => {
      this.#refusalNews = undefined
      this.#tellMissing()
    }
    this.#refusalNews ??= setTimeout(tell, REFUSAL_NEWS_MS).unref()
  }

  async close(): Promise<void> {
    clearTimeout(this.#refusalNews)
    const pipes = [...this.#pipes]
    for (const pipe of pipes) pipe.destroy()
    await Promise.all(pipes.map((pipe) => pipe.closed))
  }

  #isAlive(member: Member): Promise<boolean> {
    member.signOfLife ??= new Promise((resolve) => {
      const { signOfLifeMs } = failureLimits(member.join?.failureTimeoutMs ?? DEFAULT_FAILURE_TIMEOUT_MS)
      const cancel = patientTimeout(() => member.onAnswer?.(false), signOfLifeMs, false)
      member.onAnswer = (isAlive) => {
        cancel()
        member.signOfLife = member.onAnswer = undefined
        resolve(isAlive)
      }
      member.pipe.write(encodeMessage({ type: 'ping' }))
    })
    return member.signOfLife
  }

  #leave(rank: number, member: Member): void {
    member.pipe.destroy()
    member.onAnswer?.(false)
    if (this.#members.get(rank) !== member) return
    this.#members.delete(rank)
    if (member.join === undefined) return
    this.#left.add(rank)
    this.#tellMissing()
    this.#onWaiting(this.#waiting())
  }

  #onJoin(): void {
    this.#beginRound()
    this.#onWaiting(this.#waiting())
  }

  #beginRound(): void {
    const missing = this.#missing()
    if (missing.length > 0) return this.#tellMissing()
    // While a rank is asked for a sign of life the round waits: its machine may have vanished, and its replacement be
    // here.
    if ([...this.#members.values()].some(({ signOfLife }) => signOfLife !== undefined)) return
    const members = Array.from({ length: this.#size }, (_, rank) => this.#members.get(rank)!)
    this.#members.clear()
    this.#left.clear()
    this.#refusals = NO_REFUSALS
    const start = startMessage(members.map((member) => member.join!))
    for (const { pipe } of members) dismiss(pipe, start)
  }

  #waiting(): number[] {
    const joined = [...this.#members].filter(([, { join }]) => join !== undefined)
    return joined.map(([rank]) => rank).sort((a, b) => a - b)
  }

  #missing(): number[] {
    const ranks = Array.from({ length: this.#size }, (_, rank) => rank)
    return ranks.filter((rank) => this.#members.get(rank)?.join === undefined)
  }

  #tellMissing(): void {
    const news = { missing: this.#missing(), left: [...this.#left], refusals: this.#refusals }
    const message = encodeMessage({ type: 'waiting', ...news } satisfies StoreMessage)
    for (const { pipe, join } of this.#members.values()) if (join !== undefined) pipe.write(message)
  }
}

/** The answer to all ranks: a fresh run id, all addresses, the machines, and what rank 0 decides. */
function startMessage(joins: readonly JoinMessage[]): StartMessage {
  const runId = randomBytes(RUN_ID_BYTE_LENGTH).toString('hex')
  const peers = joins.map(addressOf)
  const { tuning, failureTimeoutMs } = joins[0]!
  const known = [...new Set(joins.map(({ machine }) => machine))]
  const machines = joins.map(({ machine }) => known.indexOf(machine))
  return { type: 'start', runId, peers, machines, tuning, failureTimeoutMs }
}

/** The last message to a rank, which then closes the connection. */
function dismiss(pipe: Pipe, start: StartMessage): void {
  const cancel = patientTimeout(() => pipe.destroy(), FAREWELL_MS)
  pipe.write(encodeMessage(start))
  pipe.end()
  void pipe.closed.then(cancel)
}
