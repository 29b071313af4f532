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
 * which is the vector's length, and a few blocks. What ranks of one machine give each other for level 0 is read where it lies:
 * then the other inputs' places stay empty. So does the own one's if the data is shared memory, and if all of level 0 is, the
 * result of a single level is made where the whole comes together.
 *
 * What is sent may be quantised (passage.ts), except within machines where these reduce among themselves first (hierarchy.ts).
 */
import { NOT_FINITE } from '../group/descriptor.ts'
import { type SliceStatistics } from '../kernels/reduce.ts'
import { type Slice, chunkElementCount, longCallElementCount, sliceOf } from '../kernels/slice.ts'
import { totalByteLength } from '../tensor/check.ts'
import { Vector } from '../tensor/vector.ts'
import { Arrivals } from './arrival.ts'
import { completeStatistics } from './hierarchy.ts'
import type { AllReduceJob, Reduced, Scratch } from './job.ts'
import { borrow, isBorrowed, receive } from './level-inputs.ts'
import type { Level, Transfer } from './level-plan.ts'
import { Report, Rows, joinRows, reportRoot, rowsOf } from './level-rows.ts'
import {
  type Run,
  STEP_EXCHANGE,
  STEP_GATHER,
  STEP_NODES,
  isInner,
  passageAt,
  stepOf,
  stretchOf,
  trailer,
} from './level-run.ts'
import { countPresent, isNonFinite, isRefused, isSuspect, nothingPresent, scan } from './non-finite.ts'
import { nodeExchange } from './node-exchange.ts'
import { type Departure, type Gathering, type Stretch, passageOf } from './passage.ts'
import type { Peers } from './peers.ts'
import type { Reducer } from './reducer.ts'

/** What a rank has of a node's result: its interval of it. */
interface Held extends Stretch {
  readonly rows: Rows
}

export async function reduceByLevels(
  call: Peers,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  firstStep = 0,
): Promise<Reduced> {
  const started = newRun(call, job, levels, scratch, job.out ? 0 : job.layout.elementCount, firstStep)
  const result = job.out ?? Vector.of(started.room.subarray(0, job.data.byteLength))
  const run = { ...started, target: result }
  const memory = job.out ? 'caller' : 'pool'
  const target = { begin: 0, end: job.layout.elementCount, vector: result, memory } as const
  const gathering = run.passage.gather(levels.length, target)
  const arrivals = job.out && postGather(run, gathering)
  const { flags, report } = run
  const own = await reduceUp(run)
  if (!own) return { result: undefined, statistics: nothingPresent(job, call.size), flags, isSuspect: false }
  const isSuspect = await gather(run, own, gathering, arrivals)
  return { result, statistics: report.values, flags, isSuspect }
}

/** @param leastElementCount - that `room` must have at the end */
export function newRun(
  call: Peers,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  leastElementCount: number,
  firstStep = 0,
): Run {
  const { layout, statistics } = job
  const room = scratch(roomElementCount(levels, leastElementCount) * layout.dtype.byteLength)
  const report = new Report(layout, statistics, call.size)
  const passage = passageOf(job, scratch)
  return { call, job, levels, firstStep, scratch, passage, room, flags: new Uint8Array(call.size), report, sends: [] }
}

/** A rank's interval of the result. */
export interface OwnResult {
  readonly vector: Vector
  /** Whether that is where the whole result comes together. */
  readonly isInPlace: boolean
  readonly isSuspect: boolean
}

/** All the way up: this rank's interval of the result, or none if inputs are refused or all were left out. */
export async function reduceUp(run: Run): Promise<OwnResult | undefined> {
  const { job, levels, flags } = run
  const whole = { begin: 0, end: job.layout.elementCount, vector: job.data, memory: 'caller' } as const
  let held: Held = { ...whole, rows: new Rows(job.layout, 0, 0, 0) }
  for (let index = 0; index < levels.length - 1; index++) held = await climb(run, index, held)
  const root = await exchange(run, levels.length - 1, held)
  const hasResult = (): boolean => !isRefused(job, flags) && countPresent(job, flags) > 0
  const result = hasResult() ? await reduceRoot(run, root) : undefined
  await root.known
  await root.finish()
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
  readonly vectors: readonly Vector[]
  /** Memory for a result: where this rank's own input may have been. */
  readonly own: Uint8Array
  /** Whether no input is in memory that this rank has for them. */
  readonly areElsewhere: boolean
  readonly rows: readonly Rows[] | undefined
  /** If they may still be on their way. */
  readonly arrival: Arrivals | undefined
  /** When all of them are there, and their ranks' flags. */
  readonly known: Promise<void>
  /** To be called when they have all been read. */
  readonly finish: () => Promise<void>
}

async function climb(run: Run, index: number, held: Held): Promise<Held> {
  const inputs = await exchange(run, index, held)
  const { level, own, known, finish } = inputs
  const { layout, statistics } = run.job
  const rows = rowsOf(layout, statistics, level.node, level)
  const { first, count } = level.node
  const isRefusedHere = index > 0 && isRefused(run.job, run.flags.subarray(first, first + count))
  // All ranks of the node know this alike, once they have all of its inputs. They go on, so that the others come to know,
  // and nobody looks at the numbers.
  if (!isRefusedHere) await reduce(run, index, inputs, rows, Vector.of(own))
  await known
  await finish()
  return { begin: level.begin, end: level.end, vector: Vector.of(own), memory: 'pool', rows }
}

/** Gives the owners of the node what this rank holds, and gets the node's inputs on its own interval. */
async function exchange(run: Run, index: number, held: Held): Promise<Inputs> {
  const { call, job, levels, flags } = run
  const level = levels[index]!
  const rooms = inputsIn(run, index)
  const rows = index === 0 ? undefined : level.inputs.map((input) => rowsOf(job.layout, job.statistics, input, level))
  const [mine, theirs] = partition(level.receives, call.rank)
  const isStreaming = isStreamed(run, index, rooms)
  const arrival = isStreaming ? new Arrivals(call, theirs.length, job.layout.dtype.byteLength) : undefined
  const span = arrival ? undefined : call.begin('exchange')
  const asked = isBorrowed(run, index) ? borrow(run, theirs, rooms, arrival) : receive(run, index, theirs, rooms, rows)
  if (index === 0) flags[call.rank] = await scan(call, job)
  job.check()
  const departure = await depart(run, index, held)
  const staysInPlace = isBorrowed(run, index) && call.isShared(job.data.parts)
  for (const own of mine) {
    if (!staysInPlace) await departure.keep(stretchOf(job, rooms[own.input]!, level.begin, own))
    rows?.[own.input]!.between(own.begin, own.end).set(held.rows.between(own.begin, own.end))
  }
  run.sends[index] = partition(level.sends, call.rank)[1].map((to) => {
    const parts = [...departure.between(to), ...trailer(run, level, rows && held.rows, to)]
    return call.send(to.rank, stepOf(run, index, STEP_EXCHANGE), parts, flags[call.rank])
  })
  const known = Promise.all(asked.flags).then((found) => {
    if (index === 0) theirs.forEach((from, i) => (flags[from.rank] = found[i]!))
  })
  if (arrival) known.catch((error: unknown) => arrival.fail(error))
  else await known
  if (span) call.end(span)
  const vectors = await asked.located()
  if (staysInPlace) vectors[level.ownInput] = heldBetween(held, level, job)
  const [own, areElsewhere] = [rooms[level.ownInput]!, staysInPlace && !asked.isHere()]
  return { level, vectors, own, areElsewhere, rows, arrival, known, finish: asked.finish }
}

function heldBetween(held: Held, { begin, end }: Level, { layout }: AllReduceJob): Vector {
  const { byteLength } = layout.dtype
  return held.vector.slice((begin - held.begin) * byteLength, (end - held.begin) * byteLength)
}

/** What this rank holds, ready to be sent. Nobody looks at it if all whose gradients are in it are left out. */
async function depart(run: Run, index: number, held: Held): Promise<Departure> {
  const { job, levels, flags } = run
  const { inputs, ownInput } = levels[index]!
  const { first, count } = inputs[ownInput]!
  const isRead = countPresent(job, flags.subarray(first, first + count)) > 0
  const passage = passageAt(run, index)
  return isRead ? passage.depart(index, held) : passage.departUnread(held)
}

/** Later levels need what comes behind the elements, and so does whoever may leave ranks out. */
function isStreamed(run: Run, index: number, bytes: readonly Uint8Array[]): boolean {
  const isLong = totalByteLength(bytes) >= run.call.tuning.streamByteLength
  return index === 0 && run.job.onNonFinite !== 'skip' && passageAt(run, index).isPlain && isLong
}

async function reduce(run: Run, index: number, inputs: Inputs, into: Rows, result: Vector) {
  const { level, vectors, rows, arrival } = inputs
  const { call, job, levels, flags } = run
  const { layout, check } = job
  const reducer = reducerAt(job, index)
  const weights = Float64Array.from(level.inputs, ({ first, count }) =>
    countPresent(job, flags.subarray(first, first + count)),
  )
  if (weights.every((weight) => weight === 0)) return undefined
  const slice = sliceIn(job, level, vectors.length, inputs.areElsewhere || !arrival ? reducer : undefined)
  const exchange = nodeExchange(call, layout, level, reducer, stepOf(run, index, STEP_NODES))
  const isRoot = index === levels.length - 1
  const resultDtype = isRoot ? job.resultDtype : layout.dtype
  const memory = {
    inputs: vectors,
    out: result,
    memory: 'pool',
    check,
  } as const
  const watched = { observer: call, ...(arrival && { arrival }) }
  const work = { layout, resultDtype, slice, weights, ...memory, exchange, ...watched }
  const found: SliceStatistics = await reducer.reduce(work)
  if (isInner(job, index)) completeStatistics(found, layout, job.hierarchy!, weights, isRoot)
  joinRows(into, level, rows, found, weights, !isBase(run, index))
  return found
}

/** @param atOnce - what reduces it, if it has to wait for nothing */
function sliceIn(
  { layout }: AllReduceJob,
  { begin, end }: Level,
  inputCount: number,
  atOnce: Reducer | undefined,
): Slice {
  const { byteLength } = layout.dtype
  const longest = atOnce?.isSinglePass === true ? longCallElementCount(byteLength, end - begin) : undefined
  return sliceOf(layout, begin, end, chunkElementCount(byteLength, inputCount), longest)
}

function reducerAt(job: AllReduceJob, index: number): Reducer {
  return isInner(job, index) ? job.hierarchy!.innerReducer : job.reducer
}

/** Whether it is this level's inputs of which orthogonality tells: the machines' vectors, where there is more than one. */
function isBase({ job, levels }: Run, index: number): boolean {
  return job.hierarchy !== undefined && index === Math.min(job.hierarchy.innerLevelCount, levels.length - 1)
}

/** The rank's part of the result, and the report of the segments that begin there. */
async function reduceRoot(run: Run, inputs: Inputs): Promise<OwnResult> {
  const { call, job, levels, report } = run
  const { level, vectors } = inputs
  const place = placeOfResult(run, inputs)
  const rows = rowsOf(job.layout, job.statistics, level.node, level)
  const found = await reduce(run, levels.length - 1, inputs, rows, place.vector)
  if (found) reportRoot(report, rows, found, vectors.length)
  return { ...place, isSuspect: found !== undefined && isSuspect(call, job, found, vectors.length) }
}

/** Where peers can read it: in its place, if they can read that and no input is there, or else in this rank's own memory. */
function placeOfResult(run: Run, { level, own, areElsewhere }: Inputs): Pick<OwnResult, 'vector' | 'isInPlace'> {
  const { call, job, passage, scratch, target } = run
  const { byteLength } = job.resultDtype
  if (target && areElsewhere && passage.isPlain && call.isShared(target.parts))
    return { vector: target.slice(level.begin * byteLength, level.end * byteLength), isInPlace: true }
  // A result of another dtype does not fit where the inputs were.
  const isWider = job.resultDtype !== job.layout.dtype
  const bytes = isWider ? scratch((level.end - level.begin) * byteLength) : own
  return { vector: Vector.of(bytes), isInPlace: false }
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
function postGather(run: Run, gathering: Gathering): Promise<number>[][] {
  const { call, levels } = run
  return levels.map(({ sends }, index) =>
    partition(sends, call.rank)[1]
      .filter(hasElements)
      .map((to) => call.receive(to.rank, stepOf(run, index, STEP_GATHER), gatherParts(run, gathering, to))),
  )
}

/** Returns whether any rank suspects that an input is not finite; with several levels nobody does. */
async function gather(
  run: Run,
  own: OwnResult,
  gathering: Gathering,
  posted: Promise<number>[][] | undefined,
): Promise<boolean> {
  const { call, job, levels, sends } = run
  const span = call.begin('gather')
  const { begin, end } = levels.at(-1)!
  // The first level's messages came from the caller's memory, the others' from where the result goes.
  if (!job.out) await Promise.all(sends.slice(1).flat())
  job.check()
  if (!own.isInPlace) await gathering.put({ begin, end, vector: own.vector, memory: 'pool' })
  const arrivals = posted ?? postGather(run, gathering)
  const flags = [own.isSuspect ? NOT_FINITE : 0]
  for (let index = levels.length - 1; index >= 0; index--) {
    const others = partition(levels[index]!.receives, call.rank)[1].filter(hasElements)
    for (const to of others) {
      const parts = index === levels.length - 1 ? ownParts(run, own, gathering, to) : gatherParts(run, gathering, to)
      sends[index]!.push(call.send(to.rank, stepOf(run, index, STEP_GATHER), parts, flags[0]))
    }
    flags.push(...(await Promise.all(arrivals[index]!)))
  }
  await Promise.all(sends.flat())
  await gathering.finish()
  call.end(span)
  return flags.some(isNonFinite)
}

function gatherParts({ report }: Run, gathering: Gathering, interval: Transfer): Uint8Array[] {
  return [...gathering.between(interval), report.bytesBetween(interval.begin, interval.end)]
}

/** This rank's own part: where the result was made peers can read it; the caller's `out` may lie elsewhere. */
function ownParts(run: Run, { vector, isInPlace }: OwnResult, gathering: Gathering, to: Transfer): Uint8Array[] {
  const { job, levels, passage, report } = run
  if (!job.out || isInPlace || !passage.isPlain) return gatherParts(run, gathering, to)
  const { begin } = levels.at(-1)!
  const { byteLength } = job.resultDtype
  const parts = vector.between((to.begin - begin) * byteLength, (to.end - begin) * byteLength)
  return [...parts, report.bytesBetween(to.begin, to.end)]
}

// ---- transfers

const hasElements = ({ begin, end }: Transfer): boolean => begin < end

/** Those within this rank, and those with others. */
function partition(transfers: readonly Transfer[], rank: number): [Transfer[], Transfer[]] {
  return [
    transfers.filter((transfer) => transfer.rank === rank),
    transfers.filter((transfer) => transfer.rank !== rank),
  ]
}
