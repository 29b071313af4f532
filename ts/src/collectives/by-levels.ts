/**
 * All-reduce by levels (levels.ts), up the tree and down again; single-shot is the one that cuts at the root alone.
 *
 * Up: at each level every rank gets the inputs of its node on its interval, reduces them, and holds the node's result there.
 * With the elements go the rows of statistics (level-rows.ts) and the flags of all ranks below the input, so that every
 * rank knows all flags when it has the root's inputs, before anything of the result is sent on. (Where the Gram matrices show
 * what is not finite, nobody says anything on the way up: see non-finite.ts.)
 * Down: the result goes the same ways back, straight to where it gathers.
 *
 *     memory of a call beside the caller's (the data, and `out` if given):
 *
 *     level 0   [ own | the other inputs                      ]    the result takes the place of the own input
 *     level 1   [held | own | others ]
 *     level 2   [held |held |own | others ]
 *     gather    [ the whole result, unless there is an `out`  ]
 *
 * which is the vector's length, and a few blocks.
 */
import type { Call } from '../group/call.ts'
import { NOT_FINITE } from '../group/descriptor.ts'
import { type SliceStatistics } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { bytesOf, totalByteLength } from '../tensor/check.ts'
import { copyParts } from '../tensor/parts.ts'
import { Vector } from '../tensor/vector.ts'
import { Arrivals } from './arrival.ts'
import type { AllReduceJob, Reduced, Scratch } from './job.ts'
import type { Level, Transfer } from './level-plan.ts'
import { Report, Rows, joinRows, reportRoot, rowsOf } from './level-rows.ts'
import { countPresent, isNonFinite, isRefused, isSuspect, nothingPresent, scan } from './non-finite.ts'
import { nodeExchange } from './node-exchange.ts'

/** Steps of a level: these, and those of the Gram exchange from STEP_NODES on. */
const STEP_EXCHANGE = 0
export const STEP_GATHER = 1
const STEP_NODES = 2
const STEPS_A_LEVEL = 64
/** Ten levels are more than any world has. */
export const STEPS_A_BUCKET: number = 1024

export interface Run {
  readonly call: Call
  readonly job: AllReduceJob
  readonly levels: readonly Level[]
  readonly firstStep: number
  readonly scratch: Scratch
  /** Memory for inputs and intermediate results. */
  readonly room: Uint8Array
  /** Of every rank, as far as they are known. */
  readonly flags: Uint8Array
  readonly report: Report
  /** Messages of the way up, level by level. */
  readonly sends: Promise<void>[][]
}

/** What a rank has of a node's result: its interval of it. */
interface Held {
  readonly begin: number
  readonly vector: Vector
  readonly rows: Rows
}

export async function reduceByLevels(
  call: Call,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  firstStep = 0,
): Promise<Reduced> {
  const run = newRun(call, job, levels, scratch, job.out ? 0 : job.layout.elementCount, firstStep)
  const target = job.out ?? Vector.of(run.room.subarray(0, job.data.byteLength))
  const arrivals = job.out && postGather(run, target)
  const { flags, report } = run
  const own = await reduceUp(run)
  if (!own) return { result: undefined, statistics: nothingPresent(job, call.size), flags, isSuspect: false }
  const isSuspect = await gather(run, own, target, arrivals)
  return { result: target, statistics: report.values, flags, isSuspect }
}

/** @param leastElementCount - that `room` must have at the end */
export function newRun(
  call: Call,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  leastElementCount: number,
  firstStep = 0,
): Run {
  const { layout, statistics } = job
  const room = scratch(roomElementCount(levels, leastElementCount) * layout.dtype.byteLength)
  const report = new Report(layout, statistics, call.size)
  return { call, job, levels, firstStep, scratch, room, flags: new Uint8Array(call.size), report, sends: [] }
}

/** A rank's interval of the result. */
export interface OwnResult {
  readonly bytes: Uint8Array
  readonly isSuspect: boolean
}

/** All the way up: this rank's interval of the result, or none if inputs are refused or all were left out. */
export async function reduceUp(run: Run): Promise<OwnResult | undefined> {
  const { job, levels, flags } = run
  let held: Held = { begin: 0, vector: job.data, rows: new Rows(job.layout, 0, 0, 0) }
  for (let index = 0; index < levels.length - 1; index++) held = await climb(run, index, held)
  const root = await exchange(run, levels.length - 1, held)
  const hasResult = (): boolean => !isRefused(job, flags) && countPresent(job, flags) > 0
  const result = hasResult() ? await reduceRoot(run, root) : undefined
  await root.known
  if (result && hasResult()) return result
  await Promise.all(run.sends.flat())
  return undefined
}

/** Elements for which a rank needs memory at once: the results up to a level, and that level's inputs. */
export function roomElementCount(levels: readonly Level[], least: number): number {
  let [held, most] = [0, least]
  for (const { begin, end, inputs } of levels) {
    most = Math.max(most, held + inputs.length * (end - begin))
    held += end - begin
  }
  return most
}

// ---- up

interface Inputs {
  readonly level: Level
  /** In rank order, the node's inputs on this rank's interval. */
  readonly bytes: readonly Uint8Array[]
  readonly rows: readonly Rows[] | undefined
  /** If they may still be on their way. */
  readonly arrival: Arrivals | undefined
  /** When all of them are there, and their ranks' flags. */
  readonly known: Promise<void>
}

async function climb(run: Run, index: number, held: Held): Promise<Held> {
  const inputs = await exchange(run, index, held)
  const { level, bytes, known } = inputs
  const { layout, statistics } = run.job
  const rows = rowsOf(layout, statistics, level.node, level)
  const result = bytes[level.ownInput]!
  const { first, count } = level.node
  const isRefusedHere = index > 0 && isRefused(run.job, run.flags.subarray(first, first + count))
  // All ranks of the node know this alike, once they have all of its inputs. They go on, so that the others come to know,
  // and nobody looks at the numbers.
  if (!isRefusedHere) await reduce(run, index, inputs, rows, result)
  await known
  return { begin: level.begin, vector: Vector.of(result), rows }
}

/** Gives the owners of the node what this rank holds, and gets the node's inputs on its own interval. */
async function exchange(run: Run, index: number, held: Held): Promise<Inputs> {
  const { call, job, levels, flags } = run
  const level = levels[index]!
  const step = stepOf(run, index, STEP_EXCHANGE)
  const bytes = inputsIn(run, index)
  const rows = index === 0 ? undefined : level.inputs.map((input) => rowsOf(job.layout, job.statistics, input, level))
  const [mine, theirs] = partition(level.receives, call.rank)
  const isStreaming = isStreamed(call, job, index, bytes)
  const arrival = isStreaming ? new Arrivals(call, theirs.length, job.layout.dtype.byteLength) : undefined
  const span = arrival ? undefined : call.begin('exchange')
  const receives = theirs.map((from, i) => {
    const parts = [
      ...partsOf(job, Vector.of(bytes[from.input]!), level.begin, from),
      ...trailer(run, level, rows?.[from.input], from),
    ]
    return arrival ? arrival.of(i, from.rank, step, parts) : call.receive(from.rank, step, parts)
  })
  if (index === 0) flags[call.rank] = await scan(call, job)
  job.check()
  for (const own of mine) {
    const room = partsOf(job, Vector.of(bytes[own.input]!), level.begin, own)
    copyParts(partsOf(job, held.vector, held.begin, own), room)
    rows?.[own.input]!.between(own.begin, own.end).set(held.rows.between(own.begin, own.end))
  }
  run.sends[index] = partition(level.sends, call.rank)[1].map((to) => {
    const parts = [...partsOf(job, held.vector, held.begin, to), ...trailer(run, level, rows && held.rows, to)]
    return call.send(to.rank, step, parts, flags[call.rank])
  })
  const known = Promise.all(receives).then((found) => {
    if (index === 0) theirs.forEach((from, i) => (flags[from.rank] = found[i]!))
  })
  if (arrival) known.catch((error: unknown) => arrival.fail(error))
  else await known
  if (span) call.end(span)
  return { level, bytes, rows, arrival, known }
}

/** Later levels need what comes behind the elements, and so does whoever may leave ranks out. */
function isStreamed(
  { tuning }: Call,
  { onNonFinite }: AllReduceJob,
  index: number,
  bytes: readonly Uint8Array[],
): boolean {
  return index === 0 && onNonFinite !== 'skip' && totalByteLength(bytes) >= tuning.streamByteLength
}

/** Rows and flags of an input that is more than one rank; of a single rank the header says it. */
function trailer(
  { job, flags }: Run,
  level: Level,
  rows: Rows | undefined,
  { input, begin, end }: Transfer,
): Uint8Array[] {
  if (!rows) return []
  const { first, count } = level.inputs[input]!
  const known = job.onNonFinite === 'propagate' ? [] : [flags.subarray(first, first + count)]
  return [bytesOf(rows.between(begin, end)), ...known]
}

async function reduce(run: Run, index: number, inputs: Inputs, into: Rows, result: Uint8Array) {
  const { level, bytes, rows, arrival } = inputs
  const { call, job, levels, flags } = run
  const { layout, reducer, check } = job
  const weights = Float64Array.from(level.inputs, ({ first, count }) =>
    countPresent(job, flags.subarray(first, first + count)),
  )
  if (weights.every((weight) => weight === 0)) return undefined
  const slice = sliceOf(layout, level.begin, level.end, chunkElementCount(layout.dtype.byteLength, bytes.length))
  const exchange = nodeExchange(call, layout, level, reducer, stepOf(run, index, STEP_NODES))
  const resultDtype = index === levels.length - 1 ? job.resultDtype : layout.dtype
  const memory = {
    inputs: bytes.map((input) => Vector.of(input)),
    out: Vector.of(result),
    memory: 'pool',
    check,
  } as const
  const watched = { observer: call, ...(arrival && { arrival }) }
  const work = { layout, resultDtype, slice, weights, ...memory, exchange, ...watched }
  const found: SliceStatistics = await reducer.reduce(work)
  joinRows(into, level, rows, found, weights)
  return found
}

/** The rank's part of the result, and the report of the segments that begin there. */
async function reduceRoot(run: Run, inputs: Inputs): Promise<OwnResult> {
  const { call, job, levels, report, scratch } = run
  const { level, bytes } = inputs
  // A result of another dtype does not fit where the inputs were.
  const isWider = job.resultDtype !== job.layout.dtype
  const result = isWider ? scratch((level.end - level.begin) * job.resultDtype.byteLength) : bytes[level.ownInput]!
  const rows = rowsOf(job.layout, job.statistics, level.node, level)
  const found = await reduce(run, levels.length - 1, inputs, rows, result)
  if (found) reportRoot(report, rows, found, bytes.length)
  return { bytes: result, isSuspect: found !== undefined && isSuspect(call, job, found, bytes.length) }
}

/** Memory for the inputs of a level: behind the results of the levels before, the own one first. */
function inputsIn({ job, levels, room }: Run, index: number): Uint8Array[] {
  const { byteLength } = job.layout.dtype
  const lengthOf = ({ begin, end }: Level): number => (end - begin) * byteLength
  const length = lengthOf(levels[index]!)
  const first = levels.slice(0, index).reduce((sum, level) => sum + lengthOf(level), 0)
  let next = first + length
  return levels[index]!.inputs.map((_, input) => {
    const at = input === levels[index]!.ownInput ? first : (next += length) - length
    return room.subarray(at, at + length)
  })
}

// ---- down

/** Asks for the whole result, level by level: what this rank gave away of its interval comes back there. */
function postGather(run: Run, target: Vector): Promise<number>[][] {
  const { call, job, levels, report } = run
  return levels.map(({ sends }, index) =>
    partition(sends, call.rank)[1]
      .filter(hasElements)
      .map((to) => call.receive(to.rank, stepOf(run, index, STEP_GATHER), gatherParts(job, report, target, to))),
  )
}

/** Returns whether any rank suspects that an input is not finite; with several levels nobody does. */
async function gather(
  run: Run,
  own: OwnResult,
  target: Vector,
  posted: Promise<number>[][] | undefined,
): Promise<boolean> {
  const { call, job, levels, report, sends } = run
  const span = call.begin('gather')
  const { byteLength } = job.resultDtype
  const { begin, end } = levels.at(-1)!
  // The first level's messages came from the caller's memory, the others' from where the result goes.
  if (!job.out) await Promise.all(sends.slice(1).flat())
  job.check()
  copyParts([own.bytes], target.between(begin * byteLength, end * byteLength))
  const arrivals = posted ?? postGather(run, target)
  const flags = [own.isSuspect ? NOT_FINITE : 0]
  for (let index = levels.length - 1; index >= 0; index--) {
    const others = partition(levels[index]!.receives, call.rank)[1].filter(hasElements)
    for (const to of others)
      sends[index]!.push(
        call.send(to.rank, stepOf(run, index, STEP_GATHER), gatherParts(job, report, target, to), flags[0]),
      )
    flags.push(...(await Promise.all(arrivals[index]!)))
  }
  await Promise.all(sends.flat())
  call.end(span)
  return flags.some(isNonFinite)
}

function gatherParts({ resultDtype }: AllReduceJob, report: Report, target: Vector, { begin, end }: Transfer) {
  const { byteLength } = resultDtype
  return [...target.between(begin * byteLength, end * byteLength), report.bytesBetween(begin, end)]
}

// ---- transfers

function stepOf({ firstStep }: Run, index: number, step: number): number {
  return firstStep + index * STEPS_A_LEVEL + step
}

const hasElements = ({ begin, end }: Transfer): boolean => begin < end

/** Elements of a transfer, in memory that holds the whole vector from `first` on. */
function partsOf({ layout }: AllReduceJob, held: Vector, first: number, { begin, end }: Transfer): Uint8Array[] {
  const { byteLength } = layout.dtype
  return held.between((begin - first) * byteLength, (end - first) * byteLength)
}

/** Those within this rank, and those with others. */
function partition(transfers: readonly Transfer[], rank: number): [Transfer[], Transfer[]] {
  return [
    transfers.filter((transfer) => transfer.rank === rank),
    transfers.filter((transfer) => transfer.rank !== rank),
  ]
}
