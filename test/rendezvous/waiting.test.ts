/** What ranks say while they wait for others, as real processes. */
import { execa } from 'execa'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import type { ConnectOptions, StallReport } from '../../ts/src/types.ts'
import { freePort } from './_ports.ts'

const SCRIPT = fileURLToPath(new URL('_connecting.ts', import.meta.url))
const ARGS = ['--conditions=adasum-source', '--import=tsx', SCRIPT]

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
