/** The counters of a communicator, and their text for Prometheus. */
import anyTest from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { metricsText } from '../../ts/src/index.ts'
import { loadSharedMemory } from '#binding'
import { createMemoryTransport } from '../transport/_memory.ts'
import { SharedMemory } from '../../ts/src/shared-memory/shared-memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import type { CallMetrics, CommunicatorMetrics } from '../../ts/src/call-records.ts'
import { HEADER_BYTE_LENGTH } from '../../ts/src/wire/frame.ts'
import { failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { parseExposition } from './_exposition.ts'

const test = anyTest.serial

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

function rowOf({ calls }: CommunicatorMetrics, operation: string, op?: string): CallMetrics {
  const rows = calls.filter((row) => row.operation === operation && row.op === op)
  if (rows.length !== 1) throw new Error(`${rows.length} rows of ${operation} ${op}`)
  return rows[0]!
}

test('calls are counted by operation and op, with what they sent and received', async (t) => {
  const world = await makeWorld(3)
  const sent = [0, 0, 0]
  for (let i = 0; i < 5; i++)
    await onAll(world.ranks, async (comm, rank) => {
      const { bytesSent } = await comm.allReduce(vectorOf(new Float32Array(700), rank), { op: 'adasum' })
      sent[rank]! += bytesSent
    })
  await onAll(world.ranks, (comm) => comm.allReduce(Int32Array.of(1), { op: 'sum' }))
  await onAll(world.ranks, (comm) => comm.barrier())
  const all = world.ranks.map((comm) => comm.metrics())
  for (const [rank, metrics] of all.entries()) {
    t.like(metrics, { group: 'world', rank, worldRank: rank, errors: {}, stalls: 0, openConnections: 4 })
    t.deepEqual(
      metrics.calls.map(({ operation, op, calls, failed }) => [operation, op, calls, failed]),
      [
        ['all-reduce', 'adasum', 5, 0],
        ['all-reduce', 'sum', 1, 0],
        ['barrier', undefined, 1, 0],
      ],
    )
    t.is(rowOf(metrics, 'all-reduce', 'adasum').bytesSent, sent[rank]!)
    t.is(rowOf(metrics, 'barrier').bytesSent, 2 * HEADER_BYTE_LENGTH)
  }
  // What is short is sent without being asked for: all that is sent arrives.
  for (const row of all[0]!.calls) {
    const rows = all.map((metrics) => rowOf(metrics, row.operation, row.op))
    t.is(sum(rows.map(({ bytesSent }) => bytesSent)), sum(rows.map(({ bytesReceived }) => bytesReceived)))
  }
  await world.close()
})

test('large messages: their length and a header, and phases that take time', async (t) => {
  const world = await makeWorld(2, { transport: tcp })
  const length = 3_000_000
  await onAll(world.ranks, (comm, rank) => comm.allReduce(vectorOf(new Float32Array(length), rank), { op: 'adasum' }))
  for (const comm of world.ranks) {
    const row = rowOf(comm.metrics(), 'all-reduce', 'adasum')
    t.is(row.bytesReceived, 4 * length + HEADER_BYTE_LENGTH)
    t.deepEqual([row.offThreadKernels, row.earlyBytes, row.phaseMs.gather], [0, 0, 0])
    for (const phase of ['exchange', 'gram', 'combine'] as const)
      t.true(row.phaseMs[phase] > 0 && row.phaseMs[phase] <= row.durations.sumMs, phase)
  }
  await world.close()
})

const testOnLinux = process.platform === 'linux' ? test : test.skip

testOnLinux('what ranks of one machine read in each other’s memory comes through no connection', async (t) => {
  const world = await makeWorld(2, { sharedMemory: () => new SharedMemory(loadSharedMemory()) })
  const length = 1_000_000
  await onAll(world.ranks, (comm, rank) => comm.allReduce(vectorOf(new Float32Array(length), rank), { op: 'sum' }))
  for (const comm of world.ranks) {
    const metrics = comm.metrics()
    const row = rowOf(metrics, 'all-reduce', 'sum')
    t.is(row.sharedBytes, 4 * length)
    t.is(row.bytesReceived, HEADER_BYTE_LENGTH)
    const exposed = parseExposition(metricsText(metrics)).get('adasum_shared_bytes_total')
    t.deepEqual(
      exposed?.samples.map(({ value }) => value),
      [4 * length],
    )
  }
  await world.close()
})

test('time in the queue is that until another rank comes', async (t) => {
  const world = await makeWorld(2)
  const early = world.ranks[0]!.barrier()
  await sleep(100)
  await world.ranks[1]!.barrier()
  await early
  const [waited, late] = world.ranks.map((comm) => rowOf(comm.metrics(), 'barrier'))
  t.true(waited!.phaseMs.queue > 90 && waited!.phaseMs.queue <= waited!.durations.sumMs)
  t.is(late!.phaseMs.queue, 0)
  t.is(late!.earlyBytes, HEADER_BYTE_LENGTH)
  t.is(waited!.earlyBytes, 0)
  await world.close()
})

test('durations fall into buckets, and add up', async (t) => {
  const world = await makeWorld(2)
  for (const delayMs of [0, 0, 30, 300]) {
    const early = world.ranks[0]!.barrier()
    await sleep(delayMs)
    await world.ranks[1]!.barrier()
    await early
  }
  const { durations, calls } = rowOf(world.ranks[0]!.metrics(), 'barrier')
  t.is(durations.counts.length, durations.bucketsMs.length + 1)
  t.is(sum(durations.counts), calls)
  t.deepEqual(
    [...durations.bucketsMs].sort((a, b) => a - b),
    durations.bucketsMs,
  )
  const atLeast = (ms: number): number => sum(durations.counts.slice(durations.bucketsMs.findIndex((end) => end >= ms)))
  t.true(atLeast(500) >= 1)
  t.true(atLeast(50) >= 2)
  t.true(durations.sumMs >= 320)
  await world.close()
})

test('kernels on other threads are counted', async (t) => {
  const world = await makeWorld(3, { tuning: { ...DEFAULT_TUNING, offThreadByteLength: 0 } })
  await onAll(world.ranks, (comm, rank) => comm.allReduce(vectorOf(new Float32Array(300_000), rank), { op: 'sum' }))
  for (const comm of world.ranks) t.true(rowOf(comm.metrics(), 'all-reduce', 'sum').offThreadKernels > 0)
  await world.close()
})

test('what fails is counted by its code, and its bytes are not', async (t) => {
  const world = await makeWorld(2, { timeoutMs: 200 })
  await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(Float32Array.of(rank === 1 ? NaN : 1), { op: 'adasum' }).catch(() => undefined),
  )
  await failuresOf([world.ranks[0]!.allReduce(new Float32Array(10), { op: 'adasum' })])
  // Refused before it began: no call.
  await failuresOf([world.ranks[0]!.barrier()])
  const metrics = world.ranks[0]!.metrics()
  t.deepEqual(metrics.errors, { ERR_NON_FINITE: 1, ERR_TIMEOUT: 1 })
  t.like(rowOf(metrics, 'all-reduce', 'adasum'), { calls: 2, failed: 2, bytesSent: 0, bytesReceived: 0 })
  await world.close()
  t.is(world.ranks[0]!.metrics().openConnections, 0)
})

test('each communicator counts its own calls; several connections count as such', async (t) => {
  const world = await makeWorld(3, { tuning: { ...DEFAULT_TUNING, connectionsPerPeer: 2 } })
  const groups = await onAll(world.ranks, (comm, rank) => comm.split(rank === 0 ? undefined : 4, -rank))
  const pair = [groups[2]!, groups[1]!]
  await onAll(pair, (comm) => comm.barrier())
  t.like(pair[0]!.metrics(), { group: 'world/1.4', rank: 0, worldRank: 2, openConnections: 4 })
  t.deepEqual(
    pair[0]!.metrics().calls.map(({ operation }) => operation),
    ['barrier'],
  )
  t.deepEqual(
    world.ranks[1]!.metrics().calls.map(({ operation }) => operation),
    ['split'],
  )
  t.is(world.ranks[1]!.metrics().openConnections, 8)
  await world.close()
})

test('the text for Prometheus says the same as the object', async (t) => {
  const world = await makeWorld(2, { transport: createMemoryTransport(), timeoutMs: 100 })
  await onAll(world.ranks, (comm) => comm.allReduce(new Float32Array(1000), { op: 'average' }))
  const groups = await onAll(world.ranks, (comm) => comm.split(0))
  await Promise.all(groups.map((comm) => comm!.barrier()))
  await failuresOf([groups[0]!.allGather(Uint8Array.of(1))])
  const [own, split] = [world.ranks[0]!.metrics(), groups[0]!.metrics()]
  const families = parseExposition(metricsText(own, split))
  const value = (name: string, labels: Record<string, string>): number => {
    const family = [...families.values()].find(({ samples }) => samples.some((sample) => sample.name === name))
    const found = family!.samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
    )
    t.is(found.length, 1, `${name} ${JSON.stringify(labels)}`)
    return found[0]!.value
  }
  for (const { group, calls, stalls, openConnections } of [own, split]) {
    for (const row of calls) {
      const labels = { rank: '0', group, operation: row.operation, op: row.op ?? '' }
      t.is(value('adasum_calls_total', labels), row.calls)
      t.is(value('adasum_calls_failed_total', labels), row.failed)
      t.is(value('adasum_sent_bytes_total', labels), row.bytesSent)
      t.is(value('adasum_received_bytes_total', labels), row.bytesReceived)
      for (const [phase, ms] of Object.entries(row.phaseMs))
        t.is(value('adasum_phase_seconds_total', { ...labels, phase }), ms / 1000)
      t.is(value('adasum_call_duration_seconds_count', labels), row.calls)
      t.is(value('adasum_call_duration_seconds_sum', labels), row.durations.sumMs / 1000)
      t.is(value('adasum_call_duration_seconds_bucket', { ...labels, le: '+Inf' }), row.calls)
    }
    t.is(value('adasum_stalls_total', { group }), stalls)
    t.is(value('adasum_open_connections', { group }), openConnections)
  }
  t.is(value('adasum_errors_total', { group: 'world/2.0', code: 'ERR_TIMEOUT' }), 1)
  await world.close()
})

test('the text is of the exposition format whatever is in it, and empty for nothing', (t) => {
  t.is(metricsText(), '')
  const binding = { kind: 'wasm', isa: 'simd128' } as const
  const empty = { rank: 0, worldRank: 0, binding, calls: [], errors: {}, stalls: 0, openConnections: 0 }
  const strange = String.raw`a "b" \c` + '\nd'
  const families = parseExposition(metricsText({ ...empty, group: strange }))
  t.deepEqual([...families.keys()], ['adasum_stalls_total', 'adasum_binding_info', 'adasum_open_connections'])
  const info = { rank: '0', group: strange, kind: 'wasm', isa: 'simd128' }
  t.deepEqual(families.get('adasum_binding_info')!.samples, [{ name: 'adasum_binding_info', labels: info, value: 1 }])
  t.is(families.get('adasum_stalls_total')!.samples[0]!.labels['group'], strange)
})
