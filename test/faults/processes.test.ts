/** What goes wrong among ranks that are processes of their own: they die, stop, leave, give up or disagree. */
import anyTest, { type ExecutionContext } from 'ava'
import { compile } from '../cli/_adasum.ts'
import { type Deviation, type Failure, type Plan, ProcessWorld, type RankProcess, type Report } from './_processes.ts'

// One after the other: each test starts processes, and all of them want both cores.
const test = anyTest.serial

test.before(compile)

const SMALL = 100
const LARGE = 8_000_000
/** Outer bound for a loaded machine. What it tells apart is a failure seen at once from a call's own 300 s. */
const SOON_MS = 10_000

type Expected = Pick<Failure, 'code' | 'rank' | 'peerRank'>

/** What every rank that lives must have seen. */
function checkReport(t: ExecutionContext, { rank }: RankProcess, report: Report, expected: Expected): void {
  const { failure, later } = report
  const what = `rank ${rank}: ${failure.message}`
  t.true(report.wasExact, what)
  t.true(failure.isOurs, what)
  t.like(failure, expected, what)
  t.is(failure.lastCompleted, 1, what)
  t.is(failure.sequence, 2, what)
  t.true(report.isUnchanged, what)
  t.true(report.failedAfterMs < SOON_MS, `${what} (after ${report.failedAfterMs} ms)`)
  // A rank to which the failure came before its call: that call is a later one already.
  const firstCause = failure.message.split('First cause: ').at(-1)
  for (const one of later) {
    t.true(one.isOurs, one.message)
    t.like(one, { ...expected, lastCompleted: 1 }, `${what}, then: ${one.message}`)
    t.true(one.message.endsWith(`First cause: ${firstCause}`), one.message)
  }
}

/** A process that nothing keeps alive ends by itself, with nothing to complain of. */
async function checkEnding(t: ExecutionContext, process: RankProcess): Promise<void> {
  const { exitCode, signal, stderr, lingeredMs } = await process.ended()
  t.deepEqual({ exitCode, signal, stderr }, { exitCode: 0, signal: null, stderr: '' }, `rank ${process.rank}`)
  t.false(lingeredMs > SOON_MS, `rank ${process.rank} lingered for ${lingeredMs} ms`)
}

async function checkAll(t: ExecutionContext, ranks: readonly RankProcess[], expected: Expected): Promise<Report[]> {
  const reports = await Promise.all(ranks.map((rank) => rank.report()))
  reports.forEach((report, i) => checkReport(t, ranks[i]!, report, expected))
  await Promise.all(ranks.map((rank) => checkEnding(t, rank)))
  return reports
}

interface Case {
  size: number
  deviant: number
  elementCount: number
}

/** The same fault twice: in a message that fits into the sockets' buffers, and in one that is cut in the middle. */
function eachSize(
  title: string,
  [small, large]: [small: Omit<Case, 'elementCount'>, large: Omit<Case, 'elementCount'>],
  run: (t: ExecutionContext, one: Case) => Promise<void>,
): void {
  const cases = [
    { ...small, elementCount: SMALL },
    { ...large, elementCount: LARGE },
  ]
  for (const one of cases)
    test(`${title} (rank ${one.deviant} of ${one.size}, ${one.elementCount} elements)`, async (t) => {
      await run(t, one)
    })
}

const start = (t: ExecutionContext, { size, ...one }: Case, deviation: Deviation, more: Partial<Plan> = {}) =>
  ProcessWorld.start(t, size, { ...one, deviation, ...more })

eachSize(
  'a rank killed in mid-collective is lost to all others at once',
  [
    { size: 5, deviant: 2 },
    { size: 3, deviant: 1 },
  ],
  async (t, one) => {
    const world = await start(t, one, 'waits')
    await world.goDeviantLast()
    await world.deviant.begun()
    world.deviant.kill()
    await checkAll(t, world.others, { code: 'ERR_PEER_LOST', peerRank: one.deviant })
    t.is((await world.deviant.ended()).signal, 'SIGKILL')
  },
)

eachSize(
  'a rank that dies as soon as it has begun is lost to all others at once',
  [
    { size: 2, deviant: 0 },
    { size: 4, deviant: 3 },
  ],
  async (t, one) => {
    const world = await start(t, one, 'kills itself')
    await world.goDeviantLast()
    await checkAll(t, world.others, { code: 'ERR_PEER_LOST', peerRank: one.deviant })
    t.is((await world.deviant.ended()).signal, 'SIGKILL')
  },
)

eachSize(
  'a rank that exits in mid-collective without a goodbye is lost to all others',
  [
    { size: 4, deviant: 0 },
    { size: 2, deviant: 1 },
  ],
  async (t, one) => {
    const world = await start(t, one, 'exits')
    await world.goDeviantLast()
    await checkAll(t, world.others, { code: 'ERR_PEER_LOST', peerRank: one.deviant })
    await checkEnding(t, world.deviant)
  },
)

eachSize(
  'a stopped rank is named after timeoutMs, and throws too once it runs again',
  [
    { size: 4, deviant: 1 },
    { size: 3, deviant: 2 },
  ],
  async (t, one) => {
    const world = await start(t, one, 'waits', { options: { timeoutMs: 500 } })
    await world.ready()
    // First, so that the time it takes to stop it is nobody's time without progress.
    world.deviant.go()
    await world.deviant.begun()
    await world.deviant.stop()
    for (const rank of world.others) rank.go()
    for (const { failure } of await checkAll(t, world.others, { code: 'ERR_TIMEOUT', peerRank: one.deviant }))
      t.regex(failure.message, new RegExp(`no progress for 500 ms on rank \\d, which waits for .*rank ${one.deviant} `))
    world.deviant.resume()
    await checkAll(t, [world.deviant], { code: 'ERR_TIMEOUT', peerRank: one.deviant })
  },
)

eachSize(
  'an abort on one rank ends the call on all',
  [
    { size: 3, deviant: 1 },
    { size: 4, deviant: 0 },
  ],
  async (t, one) => {
    const world = await start(t, one, 'aborts')
    await world.goDeviantLast()
    await checkAll(t, world.ranks, { code: 'ERR_ABORTED', rank: one.deviant })
  },
)

for (const deviation of ['calls another op', 'passes another length'] as const)
  eachSize(
    `a rank that ${deviation} fails all`,
    [
      { size: 4, deviant: 2 },
      { size: 3, deviant: 0 },
    ],
    async (t, one) => {
      const world = await start(t, one, deviation)
      await world.ready()
      for (const rank of world.ranks) rank.go()
      for (const { failure } of await checkAll(t, world.ranks, { code: 'ERR_MISMATCH' }))
        t.regex(failure.message, new RegExp(`#2 differs\\. .*[Rr]ank ${one.deviant}.*Call the same collectives`))
    },
  )

eachSize(
  'the ranks left and one in the place of the dead connect again at the same store, and all-reduce',
  [
    { size: 3, deviant: 0 },
    { size: 3, deviant: 1 },
  ],
  async (t, one) => {
    const world = await start(t, one, 'kills itself', { connectsAgain: true })
    await world.goDeviantLast()
    t.is((await world.deviant.ended()).signal, 'SIGKILL')
    const replacement = world.replace()
    const reports = await checkAll(t, world.others, { code: 'ERR_PEER_LOST', peerRank: one.deviant })
    for (const report of [...reports, await replacement.report()]) t.true(report.wasExactAgain)
    await checkEnding(t, replacement)
  },
)
