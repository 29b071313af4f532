/**
 * All-reduce by levels (levels.ts), up the tree and down again; single-shot is the one that cuts at the root alone.
 *
 * Up: at each level every rank gets the inputs of its node on its interval, reduces them, and holds the node's result there.
 * With the elements go the rows of statistics (level-rows.ts) and the flags of all ranks below the input, so that every
 * rank knows all flags when it has the root's inputs, before anything of the result exists.
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
import { type SliceStatistics } from '../kernels/reduce.ts'
import { chunkElementCount, sliceOf } from '../kernels/slice.ts'
import { bytesOf } from '../tensor/check.ts'
import type { AllReduceJob, AllReduceOutcome, Scratch } from './job.ts'
import type { Level, Transfer } from './level-plan.ts'
import { Report, Rows, joinRows, reportRoot, rowsOf } from './level-rows.ts'
import { agree, countPresent, isRefused, nothingPresent, scan } from './non-finite.ts'
import { nodeExchange } from './node-exchange.ts'

/** Steps of a level: these, and those of the Gram exchange from STEP_NODES on. */
const STEP_EXCHANGE = 0
export const STEP_GATHER = 1
const STEP_NODES = 2
const STEPS_A_LEVEL = 64

export interface Run {
  readonly call: Call
  readonly job: AllReduceJob
  readonly levels: readonly Level[]
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
  readonly bytes: Uint8Array
  readonly rows: Rows
}

export async function allReduceByLevels(
  call: Call,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
): Promise<AllReduceOutcome> {
  const run = newRun(call, job, levels, scratch, job.out ? 0 : job.layout.elementCount)
  const arrivals = job.out && postGather(run, job.out)
  const { result, nonFiniteRanks } = await reduceUp(run)
  if (!result) return nothingPresent(call, job, nonFiniteRanks)
  await gather(run, result, arrivals)
  return { statistics: run.report.values, nonFiniteRanks }
}

/** @param leastElementCount - that `room` must have at the end */
export function newRun(
  call: Call,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  leastElementCount: number,
): Run {
  const { layout, statistics } = job
  const room = scratch(roomElementCount(levels, leastElementCount) * layout.dtype.byteLength)
  const report = new Report(layout, statistics, call.size)
  return { call, job, levels, scratch, room, flags: new Uint8Array(call.size), report, sends: [] }
}

/** All the way up: this rank's interval of the result, or none if all ranks were left out. */
export async function reduceUp(run: Run): Promise<{ result: Uint8Array | undefined; nonFiniteRanks: number[] }> {
  const { call, job, levels, flags } = run
  let held: Held = { begin: 0, bytes: job.data, rows: new Rows(job.layout, 0, 0, 0) }
  for (let index = 0; index < levels.length - 1; index++) held = await climb(run, index, held)
  const root = await exchange(run, levels.length - 1, held)
  const nonFiniteRanks = await agree(call, job, flags, run.sends.flat())
  if (countPresent(job, flags) > 0) return { result: await reduceRoot(run, root), nonFiniteRanks }
  await Promise.all(run.sends.flat())
  return { result: undefined, nonFiniteRanks }
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
}

async function climb(run: Run, index: number, held: Held): Promise<Held> {
  const inputs = await exchange(run, index, held)
  const { level, bytes } = inputs
  const { layout, statistics } = run.job
  const rows = rowsOf(layout, statistics, level.node, level)
  const result = bytes[level.ownInput]!
  const { first, count } = level.node
  const isRefusedHere = isRefused(run.job, run.flags.subarray(first, first + count))
  // All ranks of the node know this alike. They go on, so that the others come to know, and nobody looks at the numbers.
  if (!isRefusedHere) await reduce(run, index, inputs, rows, result)
  return { begin: level.begin, bytes: result, rows }
}

/** Gives the owners of the node what this rank holds, and gets the node's inputs on its own interval. */
async function exchange(run: Run, index: number, held: Held): Promise<Inputs> {
  const { call, job, levels, flags } = run
  const level = levels[index]!
  const step = index * STEPS_A_LEVEL + STEP_EXCHANGE
  const bytes = inputsIn(run, index)
  const rows = index === 0 ? undefined : level.inputs.map((input) => rowsOf(job.layout, job.statistics, input, level))
  const [mine, theirs] = partition(level.receives, call.rank)
  const receives = theirs.map((from) => {
    const parts = [partOf(job, bytes[from.input]!, level.begin, from), ...trailer(run, level, rows?.[from.input], from)]
    return call.receive(from.rank, step, parts)
  })
  if (index === 0) flags[call.rank] = await scan(job)
  job.check()
  for (const own of mine) {
    partOf(job, bytes[own.input]!, level.begin, own).set(partOf(job, held.bytes, held.begin, own))
    rows?.[own.input]!.between(own.begin, own.end).set(held.rows.between(own.begin, own.end))
  }
  run.sends[index] = partition(level.sends, call.rank)[1].map((to) => {
    const parts = [partOf(job, held.bytes, held.begin, to), ...trailer(run, level, rows && held.rows, to)]
    return call.send(to.rank, step, parts, flags[call.rank])
  })
  const found = await Promise.all(receives)
  if (index === 0) theirs.forEach((from, i) => (flags[from.rank] = found[i]!))
  return { level, bytes, rows }
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

async function reduce(run: Run, index: number, { level, bytes, rows }: Inputs, into: Rows, out: Uint8Array) {
  const { call, job, levels, flags } = run
  const { layout, reducer, check } = job
  const weights = Float64Array.from(level.inputs, ({ first, count }) =>
    countPresent(job, flags.subarray(first, first + count)),
  )
  if (weights.every((weight) => weight === 0)) return undefined
  const slice = sliceOf(layout, level.begin, level.end, chunkElementCount(layout.dtype.byteLength, bytes.length))
  const exchange = nodeExchange(call, layout, level, reducer, index * STEPS_A_LEVEL + STEP_NODES)
  const resultDtype = index === levels.length - 1 ? job.resultDtype : layout.dtype
  const work = { layout, resultDtype, slice, inputs: bytes, weights, out, memory: 'pool', check, exchange } as const
  const found: SliceStatistics = await reducer.reduce(work)
  joinRows(into, level, rows, found, weights)
  return found
}

/** The rank's part of the result, and the report of the segments that begin there. */
async function reduceRoot(run: Run, inputs: Inputs): Promise<Uint8Array> {
  const { job, levels, report, scratch } = run
  const { level, bytes } = inputs
  // A result of another dtype does not fit where the inputs were.
  const isWider = job.resultDtype !== job.layout.dtype
  const result = isWider ? scratch((level.end - level.begin) * job.resultDtype.byteLength) : bytes[level.ownInput]!
  const rows = rowsOf(job.layout, job.statistics, level.node, level)
  const found = await reduce(run, levels.length - 1, inputs, rows, result)
  if (found) reportRoot(report, rows, found, bytes.length)
  return result
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
function postGather({ call, job, levels, report }: Run, target: Uint8Array): Promise<number>[][] {
  return levels.map(({ sends }, index) =>
    partition(sends, call.rank)[1]
      .filter(hasElements)
      .map((to) => call.receive(to.rank, gatherStep(index), gatherParts(job, report, target, to))),
  )
}

async function gather(run: Run, result: Uint8Array, posted: Promise<number>[][] | undefined): Promise<void> {
  const { call, job, levels, report, room, sends } = run
  const { data, out, resultDtype, check } = job
  const target = out ?? room.subarray(0, data.length)
  // The first level's messages came from the caller's memory, the others' from where the result goes.
  if (!out) await Promise.all(sends.slice(1).flat())
  check()
  target.set(result, levels.at(-1)!.begin * resultDtype.byteLength)
  const arrivals = posted ?? postGather(run, target)
  for (let index = levels.length - 1; index >= 0; index--) {
    const others = partition(levels[index]!.receives, call.rank)[1].filter(hasElements)
    for (const to of others)
      sends[index]!.push(call.send(to.rank, gatherStep(index), gatherParts(job, report, target, to)))
    await Promise.all(arrivals[index]!)
  }
  await Promise.all(sends.flat())
  check()
  if (!out) data.set(target)
}

const gatherStep = (index: number): number => index * STEPS_A_LEVEL + STEP_GATHER

function gatherParts({ resultDtype }: AllReduceJob, report: Report, target: Uint8Array, { begin, end }: Transfer) {
  const { byteLength } = resultDtype
  return [target.subarray(begin * byteLength, end * byteLength), report.bytesBetween(begin, end)]
}

// ---- transfers

const hasElements = ({ begin, end }: Transfer): boolean => begin < end

/** Elements of a transfer, in bytes that hold the vector from `first` on. */
function partOf({ layout }: AllReduceJob, bytes: Uint8Array, first: number, { begin, end }: Transfer): Uint8Array {
  const { byteLength } = layout.dtype
  return bytes.subarray((begin - first) * byteLength, (end - first) * byteLength)
}

/** Those within this rank, and those with others. */
function partition(transfers: readonly Transfer[], rank: number): [Transfer[], Transfer[]] {
  return [
    transfers.filter((transfer) => transfer.rank === rank),
    transfers.filter((transfer) => transfer.rank !== rank),
  ]
}
