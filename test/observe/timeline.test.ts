/** The timeline: what is in it, that its rows nest, and that the file can be read whatever becomes of the process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import anyTest from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { fileNameOf } from '../../ts/src/observe/file-name.ts'
import { Instruments } from '../../ts/src/observe/instruments.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { folderWith } from '../_user-folder.ts'
import { failuresOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { type TraceEvent, isWithin, problemsOf, readTrace } from './_trace.ts'
import { TYPESCRIPT_ARGS } from '../_typescript.ts'

const test = anyTest.serial

const timelineTo = (path: string) => ({ path, origin: 'option "timeline"', code: 'ERR_ARGUMENT' }) as const
const watchedBy =
  (path: string, size: number) =>
  (rank: number): Instruments =>
    new Instruments({ rank, size, timeline: timelineTo(path) })

/** A bit of everything, some of it at the same time. */
async function work(comm: Communicator): Promise<void> {
  const { rank, size } = comm
  const large = (): Float32Array => vectorOf(new Float32Array(700_000), rank)
  const segments = [100_000, 600_000]
  await comm.allReduce(large(), { op: 'adasum', segments })
  await comm.allReduce(large(), { op: 'sum', out: new Float32Array(700_000) })
  await comm.allReduce(large(), { op: 'adasum', segments, bucketBytes: 400_000 })
  await comm.broadcast(large())
  await comm.barrier()
  await Promise.all([
    ...[1, 2, 3].map(() => comm.allReduce(large(), { op: 'average' })),
    comm.allReduce(Int32Array.of(rank), { op: 'max' }),
    comm.allGather(Float64Array.of(rank)),
  ])
  const half = await comm.split(rank % 2)
  await half!.reduceScatter(new Float32Array(1000 * half!.size), { op: 'sum' })
  if (rank === 0) await comm.send(large(), { to: size - 1 })
  if (rank === size - 1) await comm.receive(large(), { from: 0 })
  await comm.allToAll(new Float32Array(size), { counts: Array.from({ length: size }, () => 1) })
}

const callsOf = (events: readonly TraceEvent[]): TraceEvent[] => events.filter(({ cat }) => cat === 'call')
const phasesOf = (events: readonly TraceEvent[], call: TraceEvent): TraceEvent[] =>
  events.filter(
    ({ cat, args }) =>
      cat === 'phase' && args['sequence'] === call.args['sequence'] && args['group'] === call.args['group'],
  )

for (const [name, size, transport] of [
  ['memory', 2, createMemoryTransport()],
  ['tcp', 3, tcp],
  ['memory', 17, createMemoryTransport()],
] as const)
  test(`${name}, ${size} ranks: every call and its phases, in rows that nest`, async (t) => {
    const folder = folderWith(t, {})
    const instruments = watchedBy(join(folder, 'trace-%r.json'), size)
    const world = await makeWorld(size, { transport, instruments })
    await onAll(world.ranks, work)
    await world.close()
    t.is(readdirSync(folder).length, size)
    for (let rank = 0; rank < size; rank++) {
      const events = readTrace(join(folder, `trace-${rank}.json`))
      t.deepEqual(problemsOf(events, rank), [])
      const calls = callsOf(events)
      const counted = calls.filter(({ args }) => args['group'] === 'world').length
      // The ranks at the ends have a message more.
      t.is(counted, 12 + (rank === 0 || rank === size - 1 ? 1 : 0))
      for (const call of calls) {
        const phases = phasesOf(events, call)
        t.true(phases.length > 0, JSON.stringify(call))
        for (const phase of phases) {
          t.true(isWithin(phase, call), `${JSON.stringify(phase)} in ${JSON.stringify(call)}`)
          t.true(['queue', 'exchange', 'gram', 'combine', 'gather'].includes(phase.name))
        }
      }
      const [first] = calls.filter(({ name, args }) => name === 'all-reduce' && args['sequence'] === 1)
      t.like(first!.args, { op: 'adasum', dtype: 'f32', bytes: 2_800_000, elementCount: 700_000, segmentCount: 2 })
      t.is(first!.args['schedule'], size === 2 ? 'direct' : size === 3 ? 'single-shot' : 'levels')
      const names = new Set(phasesOf(events, first!).map((phase) => phase.name))
      for (const phase of ['exchange', 'gram', 'combine', ...(size > 2 ? ['gather'] : [])])
        t.true(names.has(phase), phase)
      t.true(calls.some(({ args }) => args['group'] === `world/11.${rank % 2}`))
    }
  })

test('rows of calls at the same time are named, and used again', async (t) => {
  const folder = folderWith(t, {})
  const world = await makeWorld(2, { instruments: watchedBy(join(folder, '%r.json'), 2) })
  for (let round = 0; round < 5; round++)
    await onAll(world.ranks, (comm) => Promise.all([1, 2, 3].map(() => comm.barrier())))
  await world.close()
  const events = readTrace(join(folder, '0.json'))
  const rows = events.filter(({ name }) => name === 'thread_name').map(({ args }) => args['name'])
  t.deepEqual(rows, ['world', 'world, at the same time (1)', 'world, at the same time (2)'])
  t.like(events[0], { name: 'process_name', args: { name: `rank 0 of 2 (process ${process.pid})` } })
})

test('a rank that is waited for shows as time in the queue, and its clock is the epoch', async (t) => {
  const folder = folderWith(t, {})
  const world = await makeWorld(2, { instruments: watchedBy(join(folder, '%r.json'), 2) })
  const begin = Date.now()
  const early = world.ranks[0]!.allReduce(new Float32Array(100), { op: 'sum' })
  await sleep(150)
  await world.ranks[1]!.allReduce(new Float32Array(100), { op: 'sum' })
  await early
  const end = Date.now()
  await world.close()
  const [waiting, late] = [0, 1].map((rank) => readTrace(join(folder, `${rank}.json`)))
  const [queue] = waiting!.filter(({ name }) => name === 'queue')
  t.true(queue!.dur >= 140_000, `${queue!.dur} us`)
  t.deepEqual(
    late!.filter(({ name }) => name === 'queue'),
    [],
  )
  t.true(queue!.ts >= (begin - 50) * 1000 && queue!.ts + queue!.dur <= (end + 50) * 1000)
})

test('a failure is in the file before the program ends, with its code', async (t) => {
  const folder = folderWith(t, {})
  const world = await makeWorld(2, { instruments: watchedBy(join(folder, '%r.json'), 2), timeoutMs: 50 })
  await failuresOf([world.ranks[0]!.allReduce(new Float32Array(100_000), { op: 'adasum' })])
  const path = join(folder, '0.json')
  while (!readFileSync(path, 'utf8').includes('ERR_TIMEOUT')) await sleep(5)
  const events = readTrace(path, false)
  t.deepEqual(problemsOf(events, 0), [])
  t.like(callsOf(events)[0], { name: 'all-reduce', args: { code: 'ERR_TIMEOUT' } })
  t.true(phasesOf(events, callsOf(events)[0]!).length > 0)
  await world.close()
  t.deepEqual(problemsOf(readTrace(path), 0), [])
})

const program = fileURLToPath(new URL('_traced.ts', import.meta.url))

/** A process that calls all-reduce again and again until it ends in the given way. */
async function runTraced(path: string, ending: 'SIGKILL' | 'exit' | 'throws' | 'closes'): Promise<number | null> {
  const args = [...TYPESCRIPT_ARGS, program, ending]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ADASUM_TIMELINE: path },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exit = once(child, 'exit')
  if (ending === 'SIGKILL') {
    await once(child.stdout, 'data')
    while (readFileSync(path, 'utf8').length < 200_000) await sleep(5)
    child.kill('SIGKILL')
  }
  const [code] = (await exit) as [number | null]
  return code
}

for (const [ending, exitCode] of [
  ['SIGKILL', null],
  ['exit', 0],
  ['throws', 1],
  ['closes', 0],
] as const)
  test(`the file of a process that ends like this can be read: ${ending}`, async (t) => {
    const path = join(folderWith(t, {}), 'trace.json')
    t.is(await runTraced(path, ending), exitCode)
    const events = readTrace(path, ending !== 'SIGKILL')
    t.deepEqual(problemsOf(events, 0), [])
    const calls = callsOf(events)
    // None is missing in between, and the last ones are there unless the process could not know.
    t.deepEqual(
      calls.map(({ args }) => args['sequence']),
      calls.map((_, i) => i + 1),
    )
    if (ending !== 'SIGKILL') t.is(calls.length, 3000)
  })

const NAMES: [pattern: string, size: number, name: string][] = [
  ['trace.json', 1, 'trace.json'],
  ['trace.json', 4, 'trace.2.json'],
  ['a.b/trace', 4, 'a.b/trace.2'],
  ['a.b/trace.tar.json', 4, 'a.b/trace.tar.2.json'],
  ['%r.json', 4, '2.json'],
  ['%r.json', 1, '2.json'],
  ['%r/%p.json', 4, `2/${process.pid}.json`],
  ['%p', 4, `${process.pid}.2`],
  ['100%%r', 4, '100%r.2'],
  ['100%%%r', 4, '100%2'],
  ['%x', 1, '%x'],
]
for (const [pattern, size, name] of NAMES)
  test(`the name of a rank's file: ${pattern}, ${size} ranks`, (t) => {
    t.is(fileNameOf(pattern, { rank: 2, size }), name)
  })

test('connect takes the file from its option, then from the environment', async (t) => {
  const folder = folderWith(t, {})
  const run = async (options: object, env: Record<string, string>): Promise<void> => {
    const comm = await connectBy({ transport: createMemoryTransport() }, options, env)
    await comm.barrier()
    await comm.close()
  }
  const [a, b] = [join(folder, 'a.json'), join(folder, 'b.json')]
  await run({ timeline: a }, { ADASUM_TIMELINE: b })
  t.deepEqual([existsSync(a), existsSync(b)], [true, false])
  await run({}, { ADASUM_TIMELINE: b })
  t.is(callsOf(readTrace(b)).length, 1)
  // Again in the same process: what is there stays.
  await run({}, { ADASUM_TIMELINE: b })
  t.is(callsOf(readTrace(b)).length, 1)
  t.is(callsOf(readTrace(join(folder, 'b-2.json'))).length, 1)
})

test('a file that cannot be made is refused, with the name that asked for it', async (t) => {
  const path = join(folderWith(t, {}), 'no', 'such', 'folder.json')
  const refused = (options: object, env: Record<string, string>) =>
    t.throwsAsync(connectBy({ transport: createMemoryTransport() }, options, env), { instanceOf: AdasumError })
  t.like(await refused({ timeline: path }, {}), { code: 'ERR_ARGUMENT' })
  const error = await refused({}, { ADASUM_TIMELINE: path })
  t.is(error.code, 'ERR_ENVIRONMENT')
  t.regex(error.message, /ADASUM_TIMELINE names .* cannot be written \(ENOENT\): choose another file/)
  for (const timeline of ['', 3, null]) t.is((await refused({ timeline }, {})).code, 'ERR_ARGUMENT')
  t.is((await refused({}, { ADASUM_TIMELINE: '' })).code, 'ERR_ENVIRONMENT')
  t.is((await refused({ onStall: 'x' }, {})).code, 'ERR_ARGUMENT')
})

// Linux has a disk that is always full.
const fullDiskTest = existsSync('/dev/full') ? test : test.skip

fullDiskTest('a disk that is full ends the timeline with a warning, and nothing else', async (t) => {
  const warnings: (Error & { code?: string })[] = []
  const listen = (warning: Error): void => void warnings.push(warning)
  process.on('warning', listen)
  const comm = await connectBy({ transport: createMemoryTransport() }, { timeline: '/dev/full' }, {})
  for (let i = 0; i < 500; i++) await comm.barrier()
  await comm.close()
  await sleep(10)
  process.removeListener('warning', listen)
  t.deepEqual(
    warnings.map(({ code }) => code),
    ['ADASUM_TIMELINE'],
  )
  t.regex(warnings[0]!.message, /The timeline \/dev\/full ends here: ENOSPC/)
})
