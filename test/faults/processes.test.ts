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

interface JoinPlan {
  readonly elementCount: number
  /** A rank that is killed while rank 0 has joined and the others go on; -1: none. */
  readonly deviant: number
  readonly sharedMemory: boolean
}

interface JoinReport {
  readonly isExact: boolean
  readonly code?: string
  readonly peerRank?: number
  readonly message?: string
}

const JOINING = { name: '_joining-rank.mjs', execArgv: [] }

for (const sharedMemory of [false, true]) {
  const way = sharedMemory ? 'shared memory' : 'tcp'
  const elementCount = 100_003

  test(`${way}: ranks that run out of data at different times join, epoch after epoch`, async (t) => {
    const plan = { elementCount, deviant: -1, sharedMemory }
    const world = await ProcessWorld.start<JoinReport, JoinPlan>(t, 4, plan, JOINING)
    await world.ready()
    for (const rank of world.ranks) rank.go()
    for (const rank of world.ranks) {
      const { isExact, code, message } = await rank.report()
      t.deepEqual({ isExact, code }, { isExact: true, code: undefined }, message)
      t.like(await rank.ended(), { exitCode: 0, stderr: '' })
    }
  })

  for (const deviant of [0, 1])
    test(`${way}: a rank that is killed after ${deviant === 0 ? 'it' : 'another'} has joined is lost to all others at once`, async (t) => {
      const plan = { elementCount, deviant, sharedMemory }
      const world = await ProcessWorld.start<JoinReport, JoinPlan>(t, 3, plan, JOINING)
      await world.ready()
      for (const rank of world.ranks) rank.go()
      await Promise.all(world.ranks.map((rank) => rank.begun()))
      world.deviant.kill()
      for (const rank of world.others) {
        const { isExact, code, peerRank, message } = await rank.report()
        t.deepEqual({ isExact, code, peerRank }, { isExact: true, code: 'ERR_PEER_LOST', peerRank: deviant }, message)
        t.like(await rank.ended(), { exitCode: 0, stderr: '' })
      }
    })
}
