/** The flight record: the last hundred calls, with every error of a group that has failed. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import anyTest from 'ava'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { Compressor } from '../../ts/src/compressor.ts'
import type { FlightEntry } from '../../ts/src/call-records.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import { Instruments } from '../../ts/src/observe/instruments.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { HEADER_BYTE_LENGTH } from '../../ts/src/wire/frame.ts'
import { folderWith } from '../_user-folder.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'

const test = anyTest.serial

const recordsOf = (errors: readonly Error[]): (readonly FlightEntry[])[] =>
  errors.map((error) => (error as AdasumError).flightRecord!)

for (const [name, transport] of [
  ['memory', createMemoryTransport()],
  ['tcp', tcp],
] as const)
  test(`${name}: the last hundred calls, what each did, and whom the last one waits for`, async (t) => {
    const world = await makeWorld(3, { transport, timeoutMs: 200 })
    for (let i = 0; i < 250; i++)
      await onAll<unknown>(world.ranks, (comm) =>
        i % 2 === 0 ? comm.barrier() : comm.allReduce(new Float32Array(100), { op: 'adasum', segments: [40, 60] }),
      )
    const errors = await failuresOf(
      [0, 1].map((rank) => world.ranks[rank]!.broadcast(new Float64Array(9), { root: 2 })),
    )
    for (const [rank, record] of recordsOf(errors).entries()) {
      t.is(record.length, 100)
      t.deepEqual(
        record.map(({ title }) => Number(/#(\d+)$/.exec(title)![1])),
        Array.from({ length: 100 }, (_, i) => 152 + i),
      )
      t.true(record.slice(0, 99).every(({ state, waitingFor }) => state === 'completed' && waitingFor.length === 0))
      t.true(record.every(({ beginMs }, i) => i === 0 || beginMs >= record[i - 1]!.beginMs))
      t.true(record.slice(0, 99).every(({ beginMs, endMs }) => endMs! >= beginMs))
      const { beginMs, endMs, ...reduce } = record[0]!
      t.true(beginMs > 0 && endMs! > 0)
      t.like(reduce, {
        ...{ title: 'all-reduce #152', operation: 'all-reduce', op: 'adasum', dtype: 'f32', schedule: 'direct' },
        ...{ elementCount: 100, segmentCount: 2, byteLength: 400 },
        bytesSent: 2 * (HEADER_BYTE_LENGTH + 400),
        bytesReceived: 2 * (HEADER_BYTE_LENGTH + 400),
      })
      t.true([0, 1, 2].filter((other) => other !== rank).includes(reduce.lastFrom!))
      const last = record.at(-1)!
      t.like(last, { title: 'broadcast #251', dtype: 'f64', state: 'running', waitingFor: [2], byteLength: 72 })
      t.false('op' in last || 'endMs' in last)
    }
    await world.close()
  })

test('it says how numbers travelled, and by which operator machines reduce first', async (t) => {
  const world = await makeWorld(2, { timeoutMs: 100 })
  const compressors = world.ranks.map(() => new Compressor({ format: 'int8' }))
  await onAll(world.ranks, (comm, rank) =>
    comm.allReduce(new Float32Array(64), { op: 'adasum', compressor: compressors[rank]! }),
  )
  await onAll(world.ranks, (comm) => comm.allReduce(new Float32Array(64), { op: 'adasum', hierarchy: 'sum' }))
  const errors = await failuresOf([world.ranks[0]!.barrier()])
  for (const record of recordsOf(errors)) {
    t.deepEqual(
      record.slice(0, 2).map(({ op, format }) => [op, format]),
      [
        ['adasum', 'int8'],
        ['adasum of machines (sum within)', undefined],
      ],
    )
  }
  await world.close()
})

test('later calls throw it too, it is not printed with the error, and a call that is refused has none', async (t) => {
  const world = await makeWorld(2, { timeoutMs: 100 })
  const refused = await failuresOf(
    world.ranks.map((comm, rank) => comm.allReduce(Float32Array.of(rank ? NaN : 1), { op: 'adasum' })),
  )
  t.deepEqual(recordsOf(refused), [undefined, undefined] as never)
  const errors = await failuresOf([world.ranks[0]!.barrier()])
  errors.push(...(await failuresOf([world.ranks[0]!.barrier()])))
  for (const record of recordsOf(errors)) {
    t.deepEqual(
      record.map(({ title, state, code }) => [title, state, code]),
      [
        ['all-reduce #1', 'failed', 'ERR_NON_FINITE'],
        ['barrier #2', 'running', undefined],
      ],
    )
  }
  for (const error of errors) {
    t.false(inspect(error).includes('flightRecord'))
    t.false(JSON.stringify(error).includes('flightRecord'))
  }
  await world.close()
})

test('more calls at once than there is room for: the latest are kept', async (t) => {
  const world = await makeWorld(2, { timeoutMs: 300 })
  const calls = Array.from({ length: 130 }, () => world.ranks[0]!.barrier())
  await onAll([world.ranks[1]!], async (comm) => {
    for (let i = 0; i < 50; i++) await comm.barrier()
  })
  const errors = await failuresOf(calls.slice(50))
  await Promise.all(calls.slice(0, 50))
  const [record] = recordsOf(errors)
  t.deepEqual(
    record!.map(({ title, state }) => [title, state]),
    Array.from({ length: 100 }, (_, i) => [`barrier #${31 + i}`, i < 20 ? 'completed' : 'running']),
  )
  await world.close()
})

test('messages have the numbers of their pair', async (t) => {
  const world = await makeWorld(2, { timeoutMs: 100 })
  for (let i = 0; i < 2; i++)
    await Promise.all([
      world.ranks[0]!.send(Uint8Array.of(1), { to: 1 }),
      world.ranks[1]!.receive(new Uint8Array(1), { from: 0 }),
    ])
  const [record] = recordsOf(await failuresOf([world.ranks[1]!.receive(new Uint8Array(1), { from: 0 })]))
  t.deepEqual(
    record!.map(({ title }) => title),
    [1, 2, 3].map((number) => `message #${number} from rank 0 to rank 1`),
  )
  await world.close()
})

interface Dump {
  readonly group: string
  readonly worldRank: number
  readonly worldSize: number
  readonly code: string
  readonly message: string
  readonly time: string
  readonly calls: FlightEntry[]
}

const dumpsIn = (path: string): Dump[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Dump)

test('every group that fails adds a line to the rank’s file', async (t) => {
  const folder = folderWith(t, {})
  const instruments = (rank: number): Instruments =>
    new Instruments({ rank, size: 2, flightRecord: join(folder, 'flight.jsonl') })
  const world = await makeWorld(2, { instruments, timeoutMs: 100 })
  const groups = await onAll(world.ranks, (comm) => comm.split(3))
  const [inGroup] = await failuresOf([groups[0]!.barrier()])
  await onAll(world.ranks, (comm) => comm.barrier())
  const [inWorld] = await failuresOf([world.ranks[0]!.allGather(Uint8Array.of(1))])
  await world.close()
  t.deepEqual(readdirSync(folder).toSorted(), ['flight.0.jsonl', 'flight.1.jsonl'])
  const dumps = dumpsIn(join(folder, 'flight.0.jsonl'))
  t.deepEqual(
    dumps.map(({ group, worldRank, worldSize, code }) => ({ group, worldRank, worldSize, code })),
    ['world/1.3', 'world'].map((group) => ({ group, worldRank: 0, worldSize: 2, code: 'ERR_TIMEOUT' })),
  )
  for (const [i, error] of [inGroup, inWorld].entries()) {
    t.deepEqual(dumps[i]!.calls, JSON.parse(JSON.stringify((error as AdasumError).flightRecord)))
    t.is(dumps[i]!.message, error!.message)
    t.true(Math.abs(Date.parse(dumps[i]!.time) - Date.now()) < 60_000)
  }
})

test('connect takes the file from the environment; one that cannot be written is a warning', async (t) => {
  const folder = folderWith(t, {})
  const path = join(folder, 'no', 'folder', '%r')
  const warning = new Promise<Error & { code?: string }>((resolve) => process.once('warning', resolve))
  const ranks = await connectPair({ ADASUM_FLIGHT_RECORD: path })
  const [error] = await failuresOf([ranks[0]!.barrier({ timeoutMs: 50 })])
  t.is((error as AdasumError).code, 'ERR_TIMEOUT')
  t.is((await warning).code, 'ADASUM_FLIGHT_RECORD')
  t.regex((await warning).message, /No flight record in .*0 \(ENOENT\)/)
  await Promise.all(ranks.map((comm) => comm.close()))
})

async function connectPair(env: Record<string, string>) {
  const transport = createMemoryTransport()
  const options = { size: 2, store: '127.0.0.1:29500', timeoutMs: 20_000 }
  return Promise.all([0, 1].map((rank) => connectBy({ transport }, { ...options, rank }, { ...env })))
}
