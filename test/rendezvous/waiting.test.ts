/** What ranks say while they wait for others, and when; then as real processes. */
import { execa } from 'execa'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { resolvePlace } from '../../ts/src/rendezvous/environment.ts'
import { noticeOf, Notices, ranksIn } from '../../ts/src/rendezvous/notices.ts'
import { NO_REFUSALS } from '../../ts/src/rendezvous/refusals.ts'
import { startOfJoining } from '../../ts/src/rendezvous/stores/store.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'
import type { StallReport } from '../../ts/src/types.ts'
import { freePort } from './_ports.ts'
import { TYPESCRIPT_ARGS } from '../_typescript.ts'

const STORE = '10.0.0.1:29500'

function notice(rank: number, size: number, missing: number[] | undefined, change: object = {}, env: object = {}) {
  const place = resolvePlace({ rank, size, store: STORE, secret: 'k' }, { ...env })
  const waiting = missing && { missing, left: [], refusals: NO_REFUSALS }
  return noticeOf(
    place,
    STORE,
    { ...startOfJoining(), waiting, isAtStore: missing !== undefined, ...change },
    5000,
    55_400,
  )
}

test('it names the missing, few of many, and says what became of those who had come', (t) => {
  t.is(notice(0, 4, [2, 3]).message, 'waiting for ranks 2 and 3 of 4 at 10.0.0.1:29500, 55 s left')
  t.is(notice(0, 4, [2]).message, 'waiting for rank 2 of 4 at 10.0.0.1:29500, 55 s left')
  const many = Array.from({ length: 1023 }, (_, i) => i + 1)
  t.is(ranksIn(many), 'ranks 1, 2, 3, 4, 5, 6, 7, 8 and 1015 more')
  t.is(ranksIn([1, 2, 3]), 'ranks 1, 2 and 3')
  const waiting = { missing: [1, 2], left: [2], refusals: { count: 1, last: 'a stranger' } }
  t.is(
    notice(0, 4, [1, 2], { waiting }).message,
    'waiting for ranks 1 and 2 of 4 at 10.0.0.1:29500 (rank 2 had come, and left again), 55 s left; 1 connection was refused: a stranger',
  )
})

test('without a store it says what the system says', (t) => {
  const cause = Object.assign(new Error('x'), { code: 'ENOTFOUND' })
  t.is(notice(1, 2, undefined).message, 'the store at 10.0.0.1:29500 does not answer yet, 55 s left')
  const saying = (code: AdasumError['code']) =>
    notice(1, 2, undefined, { lastError: new AdasumError(code, 'our words', { cause }) }).message
  t.regex(saying('ERR_PEER_LOST'), /^the store at 10\.0\.0\.1:29500 does not answer yet \(ENOTFOUND\)/)
  t.regex(saying('ERR_STORE'), /^the store cannot listen at 10\.0\.0\.1:29500 yet \(ENOTFOUND\)/)
  t.regex(saying('ERR_ENVIRONMENT'), /^rank 1 cannot listen on .* yet \(ENOTFOUND\)/)
  // It had been told who is missing; but the store has gone since.
  t.regex(notice(1, 2, [0], { isAtStore: false }).message, /does not answer yet/)
})

test('of a machine’s ranks the lowest that has come speaks, and of all ranks at least one', (t) => {
  const env = (localRank: number) => ({ ADASUM_LOCAL_RANK: `${localRank}`, ADASUM_LOCAL_SIZE: '4' })
  const speakers = (missing: number[]): number[] =>
    [0, 1, 2, 3, 4, 5, 6, 7]
      .filter((rank) => !missing.includes(rank))
      .filter((rank) => notice(rank, 8, missing, {}, env(rank % 4)).isSpeaker)
  t.deepEqual(speakers([7]), [0, 4])
  t.deepEqual(speakers([0, 1, 7]), [2, 4])
  t.deepEqual(speakers([0, 4, 5, 6]), [1, 7])
  // Each that nobody has started together with others speaks for itself.
  t.true([1, 2, 3].every((rank) => notice(rank, 4, [0]).isSpeaker))
  t.deepEqual(
    [0, 1].map((rank) => notice(rank, 4, undefined, {}, env(rank)).isSpeaker),
    [true, false],
  )
})

test('its report has ranks, not words', (t) => {
  t.like(notice(1, 4, [0, 2]).report, { operation: 'connect', store: '10.0.0.1:29500', rank: 1, idleMs: 5000 })
  t.deepEqual(notice(1, 4, [0, 2]).report.arrived, [3])
  t.deepEqual(
    notice(1, 4, [0, 2]).report.waitingFor,
    [0, 2].map((rank) => ({ rank, address: '' })),
  )
  t.deepEqual(notice(1, 4, undefined).report.notHeard, [0, 2, 3])
})

test('distances grow, and nothing is said after the time or after the end', async (t) => {
  const said: [waitedMs: number, leftMs: number][] = []
  const notices = new Notices(3000, (...times) => said.push(times), 100)
  await sleep(3300)
  // At 100, 200, 400, 800 and 1600 ms, or fewer where the process was held up.
  t.true(said.length >= 2 && said.length <= 5, `${said.length}`)
  for (const [i, [waitedMs, leftMs]] of said.entries()) {
    t.is(Math.round(waitedMs + leftMs), 3000)
    if (i > 0) t.true(waitedMs >= 2 * said[i - 1]![0] - 2, `${said.join(' ')}`)
  }
  notices.stop()
  const stopped = new Notices(900, () => stopped.stop(), 20)
  const silent = new Notices(900, () => t.fail(), 20)
  silent.stop()
  await sleep(100)
})

// ---- as processes

const SCRIPT = fileURLToPath(new URL('_connecting.ts', import.meta.url))
const ARGS = [...TYPESCRIPT_ARGS, SCRIPT]

interface Outcome {
  readonly code?: string
  readonly message?: string
  readonly reports: readonly StallReport[]
  /** What it has said on stderr, a notice a line. */
  readonly notices: readonly string[]
}

async function connecting(
  t: ExecutionContext,
  options: ConnectOptions,
  env: Record<string, string> = {},
): Promise<Outcome> {
  const child = execa(process.execPath, [...ARGS, JSON.stringify(options)], { reject: false, env, stdin: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  const { stdout, stderr } = await child
  const lines = stdout.split('\n').map((line) => JSON.parse(line) as { report?: StallReport })
  const reports = lines.flatMap(({ report }) => report ?? [])
  const notices = stderr.split('\n').filter((line) => line.includes('[ADASUM_WAITING] AdasumWarning: '))
  return { ...lines.find(({ report }) => report === undefined), reports, notices }
}

test('after 5 s each rank says who is missing, on stderr and to onStall', async (t) => {
  const store = `127.0.0.1:${await freePort()}`
  const ranks = [0, 2].map((rank) => connecting(t, { rank, size: 4, store, timeoutMs: 9000 }))
  for (const [i, { code, notices, reports }] of (await Promise.all(ranks)).entries()) {
    t.is(code, 'ERR_TIMEOUT')
    t.is(notices.length, 1, notices.join())
    t.regex(notices[0]!, new RegExp(`waiting for ranks 1 and 3 of 4 at ${store}, 4 s left`))
    t.is(reports.length, 1)
    t.like(reports[0], { title: 'connect', operation: 'connect', rank: 2 * i, group: 'world', store, notHeard: [1, 3] })
    t.deepEqual(reports[0]!.arrived, [2 - 2 * i])
    t.deepEqual(
      reports[0]!.waitingFor.map(({ rank }) => rank),
      [1, 3],
    )
    t.true(reports[0]!.idleMs >= 4990 && reports[0]!.idleMs < 9000)
  }
})

test('a rank that cannot reach the store says that instead', async (t) => {
  const store = `127.0.0.1:${await freePort()}`
  const { code, notices, reports } = await connecting(t, { rank: 1, size: 2, store, timeoutMs: 8000 })
  t.is(code, 'ERR_STORE')
  t.is(notices.length, 1, notices.join())
  t.regex(notices[0]!, new RegExp(`the store at ${store} does not answer yet \\(ECONNREFUSED\\), 3 s left`))
  t.like(reports[0], { operation: 'connect', store, waitingFor: [], arrived: [], notHeard: [0] })
})

test('of the ranks that a launcher has started on a machine one speaks for all', async (t) => {
  const store = `127.0.0.1:${await freePort()}`
  const ranks = [0, 1].map((rank) =>
    connecting(t, { rank, size: 3, store, timeoutMs: 8000 }, { ADASUM_LOCAL_RANK: `${rank}`, ADASUM_LOCAL_SIZE: '3' }),
  )
  const [zero, one] = await Promise.all(ranks)
  t.is(zero!.notices.length, 1)
  t.regex(zero!.notices[0]!, /waiting for rank 2 of 3 at /)
  t.deepEqual(one!.notices, [])
  t.is(one!.reports.length, 1)
})
