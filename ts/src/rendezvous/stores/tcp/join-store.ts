/** A rank's side of the store: it joins a round, again and again if need be, until the round is complete. */
import { AdasumError } from '../../../errors.ts'
import { formatAddress, parseAddress } from '../../../transport/address.ts'
import { Limit } from '../../../timing/limit.ts'
import type { Pipe, Transport } from '../../../transport/transport.ts'
import type { Tuning } from '../../../tuning.ts'
import { dialAuthenticated, pause, requireSecret } from '../../../wire/authenticated.ts'
import { STORE_RANK } from '../../../wire/handshake-format.ts'
import { machineIdentity } from '../../machine.ts'
import { type JoinOptions, type JoinProgress, type Roster } from '../store.ts'
import { encodeMessage, MessageDecoder, parseStoreMessage } from './messages.ts'

const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 1000
// If the store may be at several ports, a silent program at one of them must not use up all the time.
const PORT_TRY_MS = 5000

export interface JoinStoreOptions extends JoinOptions {
  readonly transport: Transport
  readonly rank: number
  readonly size: number
  readonly secret: string
  readonly jobId: Uint8Array
  readonly host: string
  /** Tried in turn. */
  readonly ports: readonly number[]
  /** The tuning that this rank was given; all ranks use rank 0's. */
  readonly tuning: Tuning
  /** The time that this rank was given; all ranks use rank 0's. */
  readonly failureTimeoutMs: number
  /** Identity of this machine; by default from its name and boot. */
  readonly machine?: string | undefined
}

/**
 * Joins a round at the store and waits until it is complete. An unreachable store is dialled again until the signal
 * aborts.
 *
 * @throws AdasumError ERR_AUTH, ERR_WORLD_SIZE, ERR_RANK_TAKEN, ERR_MISMATCH; what `announce` throws; signal.reason
 */
export async function joinStore(options: JoinStoreOptions): Promise<Roster> {
  const { host, ports, secret, signal, progress } = options
  requireSecret(host, secret)
  for (let attempt = 0; ; attempt++) {
    for (const port of ports) {
      try {
        return await joinOnce(options, port)
      } catch (error) {
        signal.throwIfAborted()
        if (!isWorthRetrying(error, ports.length)) throw error
        progress.lastError = error
      }
    }
    await pause(Math.min(FIRST_RETRY_MS * 1.5 ** attempt, LONGEST_RETRY_MS), signal)
  }
}

function isWorthRetrying(error: unknown, portCount: number): boolean {
  if (!(error instanceof AdasumError)) return false
  if (error.code === 'ERR_PEER_LOST' || error.code === 'ERR_NOT_READY' || error.code === 'ERR_TIMEOUT') return true
  // With several ports to try, a stranger at one of them decides nothing.
  return portCount > 1 && (error.code === 'ERR_MISMATCH' || error.code === 'ERR_AUTH')
}

async function joinOnce(options: JoinStoreOptions, port: number): Promise<Roster> {
  const { rank, size, secret, jobId, transport, host, machine = machineIdentity(), signal, progress } = options
  const { tuning, failureTimeoutMs } = options
  const identity = { runId: jobId, rank, size, peerRank: STORE_RANK, purpose: 'store', secret } as const
  const limited = new Limit(options.ports.length > 1 ? PORT_TRY_MS : undefined, signal)
  let pipe: Pipe
  try {
    pipe = await dialAuthenticated(transport, host, port, identity, limited.signal)
  } catch (error) {
    if (!limited.signal.aborted || signal.aborted) throw error
    throw new AdasumError('ERR_TIMEOUT', `${formatAddress(host, port)} gave no answer within ${PORT_TRY_MS} ms`)
  } finally {
    limited.release()
  }
  try {
    // Listening to the store begins before `announce`, which may take a while: the store may ask for a sign of life
    // meanwhile.
    const start = roundOn(pipe, size, signal, progress)
    start.catch(() => {})
    const { host: localHost } = parseAddress(pipe.localAddress) ?? { host }
    const address = await options.announce(localHost)
    signal.throwIfAborted()
    pipe.write(encodeMessage({ type: 'join', ...address, machine, tuning, failureTimeoutMs }))
    return await start
  } finally {
    progress.isAtStore = false
    pipe.destroy()
    await pipe.closed
  }
}

/** Follows one round on an authenticated connection; resolves with the roster when the round is complete. */
async function roundOn(pipe: Pipe, size: number, signal: AbortSignal, progress: JoinProgress): Promise<Roster> {
  let abort: () => void = () => {}
  const start = new Promise<Roster>((resolve, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const onMessage = (value: unknown) => {
      const parsed = parseStoreMessage(value, size)
      if (parsed?.type === 'waiting') Object.assign(progress, { waiting: parsed, isAtStore: true })
      else if (parsed?.type === 'ping') pipe.write(encodeMessage({ type: 'pong' }))
      else if (parsed?.type === 'start') resolve(parsed)
      else reject(nonsenseError(pipe.remoteAddress))
    }
    const onMalformed = (error: Error) => reject(nonsenseError(pipe.remoteAddress, error))
    const onEnd = (error?: Error) => reject(storeLostError(pipe.remoteAddress, error))
    pipe.setSink(new MessageDecoder({ onMessage, onMalformed, onEnd }))
  })
  try {
    return await start
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function storeLostError(address: string, cause?: Error): AdasumError {
  const why = cause === undefined ? 'closed the connection' : `broke the connection (${cause.message})`
  const message = `the store at ${address} ${why} before all ranks had come`
  return new AdasumError('ERR_PEER_LOST', message, { peerAddress: address, cause })
}

function nonsenseError(address: string, cause?: Error): AdasumError {
  const message = `the store at ${address} sent a message that makes no sense: use one version of adasum on all ranks`
  return new AdasumError('ERR_STORE', message, { peerAddress: address, cause })
}
