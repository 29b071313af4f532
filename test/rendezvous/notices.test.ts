/** What a rank says while it waits, and when. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { resolvePlace } from '../../ts/src/rendezvous/environment.ts'
import { startOfJoining } from '../../ts/src/rendezvous/join.ts'
import { noticeOf, Notices, ranksIn } from '../../ts/src/rendezvous/notices.ts'
import { NO_REFUSALS } from '../../ts/src/rendezvous/refusals.ts'

const STORE = { host: '10.0.0.1', ports: [29500] }

function notice(rank: number, size: number, missing: number[] | undefined, change: object = {}, env: object = {}) {
  const place = resolvePlace({ rank, size, store: '10.0.0.1:29500', secret: 'k' }, { ...env })
  const waiting = missing && ({ type: 'waiting', missing, left: [], refusals: NO_REFUSALS } as const)
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
  const waiting = { type: 'waiting', missing: [1, 2], left: [2], refusals: { count: 1, last: 'a stranger' } }
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
  const said: number[] = []
  const notices = new Notices(900, (waitedMs, leftMs) => said.push(waitedMs + leftMs), 100)
  await sleep(1200)
  // At 100, 200, 400 and 800 ms, or fewer where the process was held up.
  t.true(said.length >= 2 && said.length <= 4, `${said.length}`)
  for (const whole of said) t.is(Math.round(whole), 900)
  notices.stop()
  const stopped = new Notices(900, () => stopped.stop(), 20)
  const silent = new Notices(900, () => t.fail(), 20)
  silent.stop()
  await sleep(100)
})
