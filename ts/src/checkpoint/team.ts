/** Work that all ranks do at once, and that succeeds on all of them or fails on all of them. */
import { bytesOfText, textOfBytes } from '../bytes.ts'
import { AdasumError, ERROR_CODES, type ErrorCode, reasonOf } from '../errors.ts'
import type { Collectives } from '../training/collectives.ts'
import type { CallOptions } from '../types.ts'

/** What checkpoints need of a communicator. */
export type Peers = Pick<Collectives, 'rank' | 'size' | 'allGather' | 'broadcast'>

export interface Team {
  readonly peers: Peers
  readonly call: CallOptions
}

type Outcome<T> = { readonly value: T } | { readonly code: string; readonly reason: string }

/**
 * Does this rank's work, and waits for that of the others.
 *
 * @param work - resolves to plain JSON
 * @returns what the work of every rank resolved to, by rank
 * @throws AdasumError on all ranks if the work of one fails: there its own error, elsewhere with its code, rank and message;
 *   the communicator's own errors
 */
export async function together<T>({ peers, call }: Team, work: () => Promise<T> | T): Promise<T[]> {
  let mine: Outcome<T>
  let failure: AdasumError | undefined
  try {
    mine = { value: (await work()) ?? (null as T) }
  } catch (error) {
    failure = error instanceof AdasumError ? error : new AdasumError('ERR_ARGUMENT', reasonOf(error), { cause: error })
    mine = { code: failure.code, reason: failure.message }
  }
  const outcomes = peers.size === 1 ? [mine] : await exchange(peers, mine, call)
  if (failure !== undefined) throw failure
  return outcomes.map((outcome, rank) => {
    if ('value' in outcome) return outcome.value
    const message = `rank ${rank}: ${outcome.reason}`
    throw new AdasumError(codeOf(outcome.code), message, { rank: peers.rank, peerRank: rank })
  })
}

async function exchange<T>(peers: Peers, mine: T, call: CallOptions): Promise<T[]> {
  const { result, counts } = await peers.allGather(bytesOfText(JSON.stringify(mine)), { ...call, uneven: true })
  let end = 0
  return counts.map((count) => JSON.parse(textOfBytes(result.subarray(end, (end += count)))) as T)
}

function codeOf(code: string): ErrorCode {
  return ERROR_CODES.find((known) => known === code) ?? 'ERR_ARGUMENT'
}
