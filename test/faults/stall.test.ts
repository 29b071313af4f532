/** The report of a call that stands still: a warning, once, and the call goes on. */
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext } from 'ava'
import { Instruments } from '../../ts/src/observe/instruments.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import type { StallReport } from '../../ts/src/types.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

// One after the other: warnings belong to the process.
const test = anyTest.serial

interface Warning extends Error {
  readonly code?: string
}

/** Our warnings, collected instead of printed, until the test ends. */
function warningsOf(t: ExecutionContext): Warning[] {
  const warnings: Warning[] = []
  const printers = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', (warning: Warning) => {
    if (warning.name === 'AdasumWarning') warnings.push(warning)
  })
  t.teardown(() => {
    process.removeAllListeners('warning')
    for (const printer of printers) process.on('warning', printer)
  })
  return warnings
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5)
}

for (const [name, transport] of Object.entries({ memory: () => createMemoryTransport(), tcp: () => tcp }))
  test(`${name}: a call without progress is reported once on each rank that waits, and completes all the same`, async (t) => {
    const warnings = warningsOf(t)
    const reports = (): string[] => {
      const messages = warnings.map(({ message }) => message)
      // Rank 2 comes late, and its call may be slow on a busy machine.
      return messages.filter((message) => message.startsWith('all-reduce #2 ') && !message.includes('on rank 2'))
    }
    const world = await makeWorld(3, { transport: transport(), stallMs: 100 })
    await onAll(world.ranks, (comm) => comm.barrier())
    const array = (): Float32Array => new Float32Array(200_000).fill(1)
    const early = world.ranks.slice(0, 2).map((comm) => comm.allReduce(array(), { op: 'sum' }))
    await until(() => reports().length >= 2)
    // Time for a second report that must not come.
    await sleep(300)
    const late = world.ranks[2]!.allReduce(array(), { op: 'sum' })
    for (const { result } of await Promise.all([...early, late])) t.is(result[0], 3)
    t.is(reports().length, 2)
    for (const rank of [0, 1]) {
      const address = world.pipe(rank, 2).remoteAddress.replaceAll('.', String.raw`\.`)
      const expected = `^all-reduce #2 \\(sum f32\\[200000\\]\\) made no progress for 100 ms on rank ${rank}, which waits for .*rank 2 \\(${address}\\)`
      const report = reports().find((message) => message.includes(`on rank ${rank}`))!
      t.regex(report, new RegExp(expected))
      t.true(report.includes(`It has heard of rank ${1 - rank}, and not of rank 2, in this call.`))
      t.regex(report, /Check that those ranks are running.*: the call fails after 20000 ms without progress\.$/)
    }
    t.deepEqual(new Set(warnings.map(({ code }) => code)), new Set(['ADASUM_STALL']))
    await world.close()
  })

test('the report reaches onStall, with who has come and who has not', async (t) => {
  const warnings = warningsOf(t)
  const reports: StallReport[] = []
  const onStall = (report: StallReport): void => void reports.push(report)
  const instruments = (rank: number): Instruments => new Instruments({ rank, size: 3, onStall })
  const world = await makeWorld(3, { stallMs: 60, instruments })
  const groups = await onAll(world.ranks, (comm) => comm.split(0, -comm.rank))
  // The group has the ranks in reverse order.
  const byRank = groups.toSorted((a, b) => a!.rank - b!.rank).map((group) => group!)
  const data = byRank.map(() => Float64Array.of(1, 2, 3))
  const early = [0, 2].map((rank) => byRank[rank]!.allReduce(data[rank]!, { op: 'max' }))
  await until(() => reports.length >= 2)
  const last = byRank[1]!.allReduce(data[1]!, { op: 'max' })
  await Promise.all([...early, last])
  reports.sort((a, b) => a.rank - b.rank)
  const common = { operation: 'all-reduce', sequence: 1, what: 'max f64[3]', group: 'world/1.0', idleMs: 60 }
  t.like(reports[0], { ...common, rank: 0, arrived: [2], notHeard: [1] })
  t.like(reports[1], { ...common, rank: 2, arrived: [0], notHeard: [1] })
  t.deepEqual(reports[0]!.waitingFor, [{ rank: 1, address: reports[0]!.waitingFor[0]!.address }])
  t.regex(reports[0]!.title, /^all-reduce #1 in the group of color 0/)
  t.deepEqual([byRank[0]!.metrics().stalls, byRank[1]!.metrics().stalls], [1, 0])
  t.is(warnings.length, 2)
  await world.close()
})

test('a message that nobody sends: its number, and the one rank that is missing', async (t) => {
  warningsOf(t)
  const reports: StallReport[] = []
  const onStall = (report: StallReport): void => void reports.push(report)
  const instruments = (rank: number): Instruments => new Instruments({ rank, size: 3, onStall })
  const world = await makeWorld(3, { stallMs: 40, instruments })
  const receiving = world.ranks[2]!.receive(new Uint8Array(9), { from: 0 })
  await until(() => reports.length > 0)
  await world.ranks[0]!.send(new Uint8Array(9), { to: 2 })
  await receiving
  t.like(reports[0], { title: 'message #1 from rank 0 to rank 2', sequence: 1, what: 'u8[9]', notHeard: [0] })
  await world.close()
})

test('what onStall throws is a warning, and the call goes on', async (t) => {
  const warnings = warningsOf(t)
  const onStall = (): void => {
    throw new Error('wrong on purpose')
  }
  const instruments = (rank: number): Instruments => new Instruments({ rank, size: 2, onStall })
  const world = await makeWorld(2, { stallMs: 40, instruments })
  const early = world.ranks[0]!.barrier()
  await until(() => warnings.length >= 2)
  await world.ranks[1]!.barrier()
  await early
  t.deepEqual(
    warnings.map(({ code }) => code),
    ['ADASUM_STALL', 'ADASUM_ON_STALL'],
  )
  t.regex(warnings[1]!.message, /wrong on purpose/)
  await world.close()
})

test('the deadline still comes after the report', async (t) => {
  const warnings = warningsOf(t)
  const world = await makeWorld(2, { stallMs: 50, timeoutMs: 400 })
  const [error] = await failuresOf([world.ranks[0]!.barrier()])
  t.regex(
    error!.message,
    /barrier #1 made no progress for 400 ms on rank 0, which waits for rank 1 .*raise timeoutMs\.$/,
  )
  t.is(warnings.length, 1)
  await world.close()
})

test('a call that fails before it counts as stalled is not reported', async (t) => {
  const warnings = warningsOf(t)
  const world = await makeWorld(2, { stallMs: 10_000, timeoutMs: 50 })
  await failuresOf([world.ranks[0]!.barrier()])
  await sleep(0)
  t.is(warnings.length, 0)
  await world.close()
})

test('a process that computed while the data came has no stall to report', async (t) => {
  const warnings = warningsOf(t)
  const world = await makeWorld(2, { transport: tcp, stallMs: 200 })
  const calls = world.ranks.map((comm) => comm.barrier())
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  await Promise.all(calls)
  await sleep(0)
  t.deepEqual(warnings, [])
  await world.close()
})

test('many calls behind one late rank: one report on each rank that waits, of all of them', async (t) => {
  const warnings = warningsOf(t)
  const reports: StallReport[] = []
  const onStall = (report: StallReport): void => void reports.push(report)
  const instruments = (rank: number): Instruments => new Instruments({ rank, size: 3, onStall })
  const world = await makeWorld(3, { transport: tcp, stallMs: 1500, instruments })
  await onAll(world.ranks, (comm) => comm.barrier())
  const count = 300
  const array = (): Float32Array => new Float32Array(30).fill(1)
  const call = (rank: number) => () => world.ranks[rank]!.allReduce(array(), { op: 'sum' })
  const early = [0, 1].flatMap((rank) => Array.from({ length: count }, call(rank)))
  await until(() => reports.length >= 2)
  // Time for further reports, of which there must be none.
  await sleep(1500)
  t.deepEqual(reports.map(({ rank, sequence, laterCallCount }) => [rank, sequence, laterCallCount]).toSorted(), [
    [0, 2, count - 1],
    [1, 2, count - 1],
  ])
  for (const { waitingFor, notHeard } of reports) {
    t.true(waitingFor.some(({ rank }) => rank === 2))
    t.deepEqual(notHeard, [2])
  }
  t.is(warnings.length, 2)
  for (const { message } of warnings) t.regex(message, /^all-reduce #2 .* in this and 299 later calls\. It has heard/)
  t.is(world.ranks[0]!.metrics().stalls, count)
  await Promise.all([...early, ...Array.from({ length: count }, call(2))])
  // The next one is another affair.
  const again = [0, 1].map((rank) => call(rank)())
  await until(() => reports.length >= 4)
  t.deepEqual(
    reports.slice(2).map(({ sequence, laterCallCount }) => [sequence, laterCallCount]),
    [
      [count + 2, 0],
      [count + 2, 0],
    ],
  )
  await Promise.all([...again, call(2)()])
  await world.close()
})

test('when other ranks are missing there is another report, but not at once', async (t) => {
  warningsOf(t)
  const reports: [atMs: number, report: StallReport][] = []
  const onStall = (report: StallReport): void => void reports.push([performance.now(), report])
  const instruments = (rank: number): Instruments => new Instruments({ rank, size: 4, onStall })
  const world = await makeWorld(4, { transport: tcp, stallMs: 100, instruments })
  const from = [1, 2, 3, 1, 2, 3]
  const waiting = from.map((peer) => world.ranks[0]!.receive(new Uint8Array(1), { from: peer }))
  await until(() => reports.length >= 3)
  t.deepEqual(
    reports.map(([, { notHeard, laterCallCount }]) => [notHeard, laterCallCount]),
    [
      [[1], 1],
      [[2], 1],
      [[3], 1],
    ],
  )
  const [first, second, third] = reports.map(([atMs]) => atMs) as [number, number, number]
  t.true(second - first > 900 && third - second > 900, `${second - first}, ${third - second}`)
  for (const peer of from) await world.ranks[peer]!.send(Uint8Array.of(peer), { to: 0 })
  t.deepEqual(
    (await Promise.all(waiting)).map(([value]) => value),
    from,
  )
  t.is(reports.length, 3)
  await world.close()
})
