/**
 * What every rank of a benchmark runs. Rank 0 prints.
 *
 * A time is that of the slowest rank, from a barrier to the call's end. Buffers are filled anew before each call.
 * Results are compared bit for bit with what one process computes from all ranks' inputs, once a case. Compressed ones
 * are compared with rank 0's, and their relative error is printed. A barrier has no result.
 */
import { allReduceSchedule } from '../../collectives/schedule/schedule.ts'
import type { Communicator } from '../../communicator/communicator.ts'
import { connect } from '../../communicator/connect.ts'
import { Compressor } from '../../compressor.ts'
import { bytesOf } from '../../tensor/check.ts'
import type { AllReduceOp, AllReduceOptions, FloatArray, Reduction } from '../../types.ts'
import { BENCH_ARRAYS, type BenchArray, type BenchCase, type BenchOp } from './cases.ts'
import { reduceByDefinition, relativeError } from './reference.ts'
import { resultOf, tableHead, tableRow } from './result.ts'
import { optionsFor, transportOf } from './transport.ts'
import { fill } from './vectors.ts'

interface Settings {
  readonly cases: readonly BenchCase[]
  /** How ranks are to reach each other, if the command line says so. */
  readonly transport?: string
  /** Where vectors lie: in memory that peers can read, if there is some, or in the heap. */
  readonly memory: 'allocated' | 'heap'
  readonly iterations: number | undefined
  readonly json: boolean
}

/** Enough for the compiler to optimise as it does in a training loop; fewer where few iterations are to be measured. */
function warmUpsFor(byteLength: number, iterations: number): number {
  return Math.max(3, Math.min(2000, 16 * iterations, Math.floor((256 << 20) / byteLength)))
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
  /** Called before the barrier, outside the time. */
  readonly refill: () => void
  readonly call: () => Promise<unknown>
}

function optionsOf({ op, compress }: BenchCase): Pick<AllReduceOptions<BenchArray>, 'op' | 'compressor'> {
  return { op: op as AllReduceOp, ...(compress && { compressor: new Compressor({ format: compress }) }) }
}

function prepare(comm: Communicator, bench: BenchCase, make: MakeVector): Preparation {
  const { op, inPlace } = bench
  if (op === 'barrier') return { refill: () => {}, call: () => comm.barrier() }
  const common = optionsOf(bench)
  if (!inPlace) {
    const input = fill(make(bench), comm.rank)
    const options = { ...common, out: make(bench) }
    return { refill: () => {}, call: () => allReduce(comm, input, options) }
  }
  const input = newVector(bench, comm.rank)
  const data = make(bench)
  return { refill: () => bytesOf(data).set(bytesOf(input)), call: () => allReduce(comm, data, common) }
}

type MakeVector = (bench: BenchCase) => BenchArray

async function measure(
  comm: Communicator,
  bench: BenchCase,
  make: MakeVector,
  iterations: number,
): Promise<Float64Array> {
  const { refill, call } = prepare(comm, bench, make)
  const times = new Float64Array(iterations)
  for (let i = -warmUpsFor(bench.byteLength, iterations); i < iterations; i++) {
    refill()
    await comm.barrier()
    const start = performance.now()
    await call()
    if (i >= 0) times[i] = (performance.now() - start) * 1e3
  }
  const all = await comm.allGather(times)
  return times.map((_, i) => Math.max(...Array.from({ length: comm.size }, (__, rank) => all[rank * iterations + i]!)))
}

interface Verdict {
  readonly wrong: number
  readonly relativeError?: number
}

/** How many elements of the result are wrong, over all ranks; and, if it is compressed, how far it is off. */
async function judge(comm: Communicator, bench: BenchCase): Promise<Verdict> {
  const { op, inPlace, compress } = bench
  if (op === 'barrier') return { wrong: 0 }
  const inputs = Array.from({ length: comm.size }, (_, rank) => newVector(bench, rank))
  const exact = reduceByDefinition(op, inputs)
  const data = newVector(bench, comm.rank)
  const options = optionsOf(bench)
  const { result } = await allReduce(comm, data, inPlace ? options : { ...options, out: newVector(bench) })
  const want = compress ? await comm.broadcast(result.slice() as Float32Array) : exact
  const wrong = Float64Array.of(countDifferent(result, want))
  await comm.allReduce(wrong, { op: 'sum' })
  if (!compress) return { wrong: wrong[0]! }
  return { wrong: wrong[0]!, relativeError: relativeError(result as Float32Array, exact as Float32Array) }
}

function countDifferent(result: BenchArray, want: BenchArray): number {
  if (Buffer.compare(bytesOf(result), bytesOf(want)) === 0) return 0
  let count = 0
  for (let i = 0; i < want.length; i++) if (!Object.is(result[i], want[i])) count++
  return count
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

function allocated(comm: Communicator, { dtype, byteLength }: BenchCase): BenchArray {
  return comm.allocate(dtype, byteLength / BENCH_ARRAYS[dtype].BYTES_PER_ELEMENT)
}

async function main(settings: Settings): Promise<void> {
  const comm = await connect(optionsFor(settings.transport))
  const transport = await transportOf(comm, settings.transport)
  if (transport === undefined) return comm.close()
  const make: MakeVector = (bench) => (settings.memory === 'heap' ? newVector(bench) : allocated(comm, bench))
  const isCompressed = settings.cases.some(({ compress }) => compress !== undefined)
  if (comm.rank === 0 && !settings.json)
    console.log(tableHead(comm.size, transport, isCompressed, comm.metrics().binding))
  for (const bench of settings.cases) {
    const times = await measure(comm, bench, make, settings.iterations ?? iterationsFor(bench.byteLength))
    const verdict = await judge(comm, bench)
    const { op, dtype, byteLength: bytes, inPlace, compress } = bench
    const schedule = scheduleOf(op, comm, bytes)
    const key = { op, dtype, n: comm.size, bytes, transport, schedule, inPlace, ...(compress && { compress }) }
    const result = resultOf({ ...key, ...verdict }, times)
    if (comm.rank === 0) console.log(settings.json ? JSON.stringify(result) : tableRow(result, isCompressed))
    if (verdict.wrong > 0) process.exitCode = 1
  }
  await comm.close()
}

await main(JSON.parse(process.argv[2] ?? '{}') as Settings)
