/** Ranks that meet, or do not, each at a place that a test gives it. */
import type { ExecutionContext } from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AdasumError, ErrorCode } from '../../ts/src/errors.ts'
import type { Place } from '../../ts/src/rendezvous/environment.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { Transport } from '../../ts/src/transport/transport.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { meetAtPort, type MeetingAtPort } from './_meet.ts'

/** As strong as it must be beyond loopback. */
export const SECRET = 'p9S2xV7bQm4LzT0cRk8WnY3hJd6FgA1e'

export function place(rank: number, size: number, port: number, change: Partial<Place> = {}): Place {
  return {
    rank,
    size,
    store: { host: '127.0.0.1', ports: [port] },
    hostsStore: rank === 0,
    secret: SECRET,
    tls: 'default',
    checksums: 'default',
    host: undefined,
    machine: undefined,
    localRank: undefined,
    localSize: undefined,
    jobId: new Uint8Array(16),
    timeoutMs: 20_000,
    tuning: DEFAULT_TUNING,
    failureTimeoutMs: 3000,
    sharedMemory: 0,
    ...change,
  }
}

export async function meet(
  t: ExecutionContext,
  where: Place,
  transport: Transport,
  change: Parameters<typeof meetAtPort>[2] = {},
): Promise<MeetingAtPort> {
  const meeting = await meetAtPort(where, transport, change)
  t.teardown(() => meeting.leave())
  return meeting
}

export async function fails(t: ExecutionContext, code: ErrorCode, promise: Promise<unknown>): Promise<AdasumError> {
  const error = await t.throwsAsync<AdasumError>(promise)
  t.is(error.code, code, error.message)
  return error
}

/** Rank 0 of two, waiting at the store that it hosts. */
export async function meetingStarted(t: ExecutionContext, port: number): Promise<AbortController> {
  const controller = new AbortController()
  const waiting = meet(t, place(0, 2, port), tcp, { signal: controller.signal })
  waiting.catch(() => {})
  await sleep(100)
  return controller
}
