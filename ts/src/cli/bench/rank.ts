/**
 * What every rank of a benchmark runs. Rank 0 prints.
 *
 * A time is that of the slowest rank, from a barrier to the call's end. Buffers are filled anew before each call. Results
 * are compared bit for bit with what one process computes from all ranks' inputs, once a case. A barrier has no result.
 */
import { allReduceSchedule } from '../../collectives/schedule.ts'
import type { Communicator } from '../../communicator/communicator.ts'
import { connect } from '../../communicator/connect.ts'
import { bytesOf } from '../../tensor/check.ts'
import type { AllReduceOptions, FloatArray, Reduction } from '../../types.ts'
import { BENCH_ARRAYS, type BenchArray, type BenchCase, type BenchOp } from './cases.ts'
import { reduceByDefinition } from './reference.ts'
import { resultOf, tableHead, tableRow } from './result.ts'
import { fill } from './vectors.ts'

interface Settings {
  readonly cases: readonly BenchCase[]
  readonly iterations: number | undefined
  readonly json: boolean
}

/** Enough that the compiler has seen what a training loop would have shown it. */
function warmUpsFor(byteLength: number): number {
  return Math.max(3, Math.min(2000, Math.floor((256 << 20) / byteLength)))
}

/** Enough for steady percentiles of short calls, few enough for long ones. */
function iterationsFor(byteLength: number): number {
  return Math.max(20, Math.min(1000, Math.floor((64 << 20) / byteLength)))
}

/** Which operators go with which dtypes has been checked before the ranks were started. */
function allReduce(
  comm: Communicator,
  data: BenchArray,
  options: AllReduceOptions<BenchArray>,
): Promise<Reduction<BenchArray>> {
  return comm.allReduce(data as FloatArray, options as AllReduceOptions<FloatArray>)
}

interface Preparation {
  /** Before the barrier, outside the time. */
  readonly refill: () => void
  readonly call: () => Promise<unknown>
}

function prepare(comm: Communicator, bench: BenchCase): Preparation {
  const { op, inPlace } = bench
  if (op === 'barrier') return { refill: () => {}, call: () => comm.barrier() }
  const input = newVector(bench, comm.rank)
  if (!inPlace) {
    const options = { op, out: newVector(bench) }
    return { refill: () => {}, call: () => allReduce(comm, input, options) }
  }
  const data = input.slice()
  return { refill: () => bytesOf(data).set(bytesOf(input)), call: () => allReduce(comm, data, { op }) }
}

async function measure(comm: Communicator, bench: BenchCase, iterations: number): Promise<Float64Array> {
  const { refill, call } = prepare(comm, bench)
  const times = new Float64Array(iterations)
  for (let i = -warmUpsFor(bench.byteLength); i < iterations; i++) {
    refill()
    await comm.barrier()
    const start = performance.now()
    await call()
    if (i >= 0) times[i] = (performance.now() - start) * 1e3
  }
  const all = await comm.allGather(times)
  return times.map((_, i) => Math.max(...Array.from({ length: comm.size }, (__, rank) => all[rank * iterations + i]!)))
}

/** How many elements of the result are wrong, over all ranks. */
async function countWrong(comm: Communicator, bench: BenchCase): Promise<number> {
  const { op, inPlace } = bench
  if (op === 'barrier') return 0
  const inputs = Array.from({ length: comm.size }, (_, rank) => newVector(bench, rank))
  const want = reduceByDefinition(op, inputs)
  const data = newVector(bench, comm.rank)
  const { result } = await allReduce(comm, data, inPlace ? { op } : { op, out: newVector(bench) })
  let wrong = 0
  if (Buffer.compare(bytesOf(result), bytesOf(want)) !== 0)
    for (let i = 0; i < want.length; i++) if (!Object.is(result[i], want[i])) wrong++
  return (await comm.allReduce(Float64Array.of(wrong), { op: 'sum' })).result[0]!
}

function newVector({ dtype, byteLength }: BenchCase, rank?: number): BenchArray {
  const type = BENCH_ARRAYS[dtype]
  const array = new type(byteLength / type.BYTES_PER_ELEMENT)
  return rank === undefined ? array : fill(array, rank)
}

/** A barrier is one round among all, as under the direct schedule. */
function scheduleOf(op: BenchOp, { size, tuning }: Communicator, byteLength: number): string {
  return op === 'barrier' ? 'direct' : allReduceSchedule(size, byteLength, tuning)
}

async function main(settings: Settings): Promise<void> {
  const comm = await connect()
  const transport = 'tcp'
  if (comm.rank === 0 && !settings.json) console.log(tableHead(comm.size, transport))
  for (const bench of settings.cases) {
    const times = await measure(comm, bench, settings.iterations ?? iterationsFor(bench.byteLength))
    const wrong = await countWrong(comm, bench)
    const { op, dtype, byteLength: bytes, inPlace } = bench
    const schedule = scheduleOf(op, comm, bytes)
    const result = resultOf({ op, dtype, n: comm.size, bytes, transport, schedule, inPlace, wrong }, times)
    if (comm.rank === 0) console.log(settings.json ? JSON.stringify(result) : tableRow(result))
    if (wrong > 0) process.exitCode = 1
  }
  await comm.close()
}

await main(JSON.parse(process.argv[2] ?? '{}') as Settings)
