/**
 * The way up the levels: a rank collects its node's inputs on its interval, reduces them, and holds the node's result
 * there.
 */
import { AdasumError } from '../../errors.ts'
import { bytesOf } from '../../tensor/check.ts'
import { Vector } from '../../tensor/vector.ts'
import { isWeight } from '../../tensor/weights.ts'
import type { SegmentRows } from '../../kernels/segment-rows.ts'
import { type Slice, chunkElementCount, longCallElementCount, sliceOf } from '../../kernels/slice.ts'
import { type Stretch, decoded } from '../compression/codec.ts'
import { compareStatistics } from '../compare.ts'
import { completeStatistics } from '../hierarchy.ts'
import { type Inputs, encodePresent, exchangeInputs } from '../inputs.ts'
import type { AllReduceJob } from '../job.ts'
import { hasResult, isRefused, isSuspect } from '../non-finite.ts'
import { presenceOf, weightsOfNodes } from '../presence.ts'
import type { Reducer } from '../reducer.ts'
import type { Level, Transfer } from '../schedule/level-plan.ts'
import {
  type LevelContext,
  STEP_COMPARE,
  STEP_EXCHANGE,
  STEP_NODES,
  codecAt,
  isInner,
  partition,
  roomsOf,
  stepOf,
  stretchOf,
} from './context.ts'
import { gramExchange, sharersOf } from './gram-exchange.ts'
import { joinRows, newNodeRows, reportRoot, rowsBeginningIn } from './node-rows.ts'

/** A rank's interval of a node's result. */
interface Held extends Stretch {
  /** Undefined if the node is a single rank. */
  readonly rows: SegmentRows | undefined
}

/** A rank's interval of the result. */
export interface OwnResult {
  readonly vector: Vector
  /** Whether it already is where the whole result gathers. */
  readonly isInPlace: boolean
  readonly isSuspect: boolean
}

/** Returns this rank's interval of the result, or undefined if inputs are refused or all ranks are absent. */
export async function climb(context: LevelContext): Promise<OwnResult | undefined> {
  const { job, levels, presence } = context
  const top = levels.length - 1
  let held: Held = { begin: 0, end: job.layout.elementCount, vector: job.data, memory: 'caller', rows: undefined }
  for (let index = 0; index < top; index++) held = await climbOne(context, index, await inputsAt(context, index, held))
  const root = await inputsAt(context, top, held)
  await root.weightsReady
  const result = hasResult(job, presence) ? await reduceRoot(context, root) : undefined
  await root.flagsReady
  await root.finish()
  if (result && hasResult(job, presence)) return result
  await Promise.all(context.sends.flat())
  return undefined
}

async function climbOne(context: LevelContext, index: number, inputs: NodeInputs): Promise<Held> {
  const { level, own, weightsReady, flagsReady, finish } = inputs
  const { layout, detail } = context.job
  const rows = newNodeRows(layout, detail, level.node, level)
  const isRefusedHere = index > 0 && isRefused(context.job, presenceOf(context.presence, level.node))
  // Once they have all inputs, all ranks of the node agree on this. They go on without numbers, so that the other ranks
  // learn of it.
  await weightsReady
  if (!isRefusedHere) await reduce(context, index, inputs, rows, Vector.of(own))
  await flagsReady
  await finish()
  return { begin: level.begin, end: level.end, vector: Vector.of(own), memory: 'pool', rows }
}

// ---- inputs

interface NodeInputs extends Omit<Inputs, 'sends'> {
  readonly level: Level
  /** Memory for the result, in which this rank's own input may have been. */
  readonly own: Uint8Array
  /** Undefined where the inputs are single ranks. */
  readonly rows: readonly SegmentRows[] | undefined
}

/** Sends the owners of the node what this rank holds, and collects the node's inputs on its own interval. */
function inputsAt(context: LevelContext, index: number, held: Held): Promise<NodeInputs> {
  return held.rows ? resultsBelow(context, index, held, held.rows) : vectorsOfRanks(context)
}

/** Collects the inputs of the first level. Each is one rank's, and comes in one message. */
async function vectorsOfRanks(context: LevelContext): Promise<NodeInputs> {
  const { call, job, levels, presence } = context
  const level = levels[0]!
  const rooms = roomsOf(context, 0)
  const codec = codecAt(context, 0)
  // Where ranks may be left out, all flags must be known first.
  const isLong = rooms[0]!.length * rooms.length >= call.tuning.streamByteLength
  const exchange = {
    ...{ call, job, codec, step: stepOf(context, 0, STEP_EXCHANGE), interval: level },
    sources: partition(level.receives, call.rank)[1],
    ownInput: level.ownInput,
    targets: partition(level.sends, call.rank)[1],
    room: (input: number): Uint8Array => rooms[input]!,
    readsOwnInPlace: call.isShared(job.data.parts),
    isStreamed: isLong && codec.isPlain && job.onNonFinite !== 'skip',
  }
  const { sends, ...inputs } = await exchangeInputs(exchange, presence)
  context.sends[0] = sends
  return { ...inputs, level, own: rooms[level.ownInput]!, rows: undefined }
}

/**
 * Collects the inputs of a later level: what the owners of the nodes below hold, followed by their rows, flags and weights.
 */
async function resultsBelow(
  context: LevelContext,
  index: number,
  held: Held,
  heldRows: SegmentRows,
): Promise<NodeInputs> {
  const { call, job, levels, presence } = context
  const level = levels[index]!
  const codec = codecAt(context, index)
  const step = stepOf(context, index, STEP_EXCHANGE)
  const rooms = roomsOf(context, index)
  const rows = level.inputs.map((input) => newNodeRows(job.layout, job.detail, input, level))
  const [mine, theirs] = partition(level.receives, call.rank)
  const span = call.begin('exchange')
  const receives = theirs.map((from) => {
    const decoding = codec.decodeInto(stretchOf(job, rooms[from.input]!, level.begin, from))
    const parts = [...decoding.parts, ...trailer(context, level, rows[from.input]!, from)]
    return decoded(call.receive(from.rank, step, parts), decoding)
  })
  job.check()
  const ownPresence = presenceOf(presence, level.inputs[level.ownInput]!)
  const encoded = await encodePresent(job, codec, index, held, ownPresence)
  context.sends[index] = partition(level.sends, call.rank)[1].map((to) =>
    call.send(
      to.rank,
      step,
      [...encoded.between(to), ...trailer(context, level, heldRows, to)],
      presence.flags[call.rank],
    ),
  )
  for (const own of mine) {
    await encoded.decodeOwn(stretchOf(job, rooms[own.input]!, level.begin, own))
    rowsBeginningIn(job.layout, rows[own.input]!, own).set(rowsBeginningIn(job.layout, heldRows, own))
  }
  await Promise.all(receives)
  checkWeights(context, level, theirs)
  call.end(span)
  const vectors = rooms.map((room) => Vector.of(room))
  const complete = {
    areElsewhere: false,
    arrival: undefined,
    weightsReady: undefined,
    flagsReady: Promise.resolve(),
    finish: () => Promise.resolve(),
  }
  return { ...complete, level, vectors, own: rooms[level.ownInput]!, rows }
}

/** What follows the elements of an input of several ranks: the rows, and these ranks' flags and weights. */
function trailer({ job, presence }: LevelContext, level: Level, rows: SegmentRows, part: Transfer): Uint8Array[] {
  const { flags, weights } = presenceOf(presence, level.inputs[part.input]!)
  const knownFlags = job.onNonFinite === 'propagate' ? [] : [flags]
  const knownWeights = job.weight === undefined ? [] : [bytesOf(weights)]
  return [bytesOf(rowsBeginningIn(job.layout, rows, part)), ...knownFlags, ...knownWeights]
}

/** Weights from behind numbers have passed no check of headers. */
function checkWeights({ call, presence }: LevelContext, level: Level, from: readonly Transfer[]): void {
  for (const { rank, input } of from) {
    const { weights } = presenceOf(presence, level.inputs[input]!)
    const wrong = weights.find((weight) => !isWeight(weight))
    if (wrong === undefined) continue
    const advice = 'Run the same version of adasum on every rank.'
    throw new AdasumError('ERR_MISMATCH', `${call.title}: rank ${rank} sent weight ${wrong}. ${advice}`)
  }
}

// ---- reduction

async function reduce(context: LevelContext, index: number, inputs: NodeInputs, into: SegmentRows, out: Vector) {
  const { level, vectors, rows, arrival } = inputs
  const { call, job, levels, presence } = context
  const { layout, check } = job
  const reducer = reducerAt(job, index)
  const weights = weightsOfNodes(job, presence, level.inputs)
  if (weights.every((weight) => weight === 0)) return undefined
  const slice = sliceIn(job, level, vectors.length, inputs.areElsewhere || !arrival ? reducer : undefined)
  const exchange = gramExchange(call, layout, level, reducer, stepOf(context, index, STEP_NODES))
  const isRoot = index === levels.length - 1
  const resultDtype = isRoot ? job.resultDtype : layout.dtype
  const work = { layout, resultDtype, slice, inputs: vectors, weights, out, withGram: job.detail === 'gram' }
  const compare = compareStatistics(call, layout, stepOf(context, index, STEP_COMPARE), (segment) =>
    sharersOf({ layout, level }, segment).map(({ rank }) => rank),
  )
  const how = { memory: 'pool', check, exchange, compare, observer: call, arrival } as const
  const statistics = await reducer.reduce({ ...work, ...how })
  if (isInner(job, index)) completeStatistics(statistics, layout, job.hierarchy!, weights, isRoot)
  joinRows(into, level, rows, statistics, weights, !isBase(context, index))
  return statistics
}

/** @param atOnce - the reducer, if all inputs are here */
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

/**
 * Whether the inputs of this level are those whose orthogonality is reported: the machines' vectors, in a hierarchical
 * call.
 */
function isBase({ job, levels }: LevelContext, index: number): boolean {
  return job.hierarchy !== undefined && index === Math.min(job.hierarchy.innerLevelCount, levels.length - 1)
}

/** Makes this rank's part of the result, and reports the segments that begin there. */
async function reduceRoot(context: LevelContext, inputs: NodeInputs): Promise<OwnResult> {
  const { call, job, levels, report } = context
  const place = placeOfResult(context, inputs)
  const rows = newNodeRows(job.layout, job.detail, inputs.level.node, inputs.level)
  const statistics = await reduce(context, levels.length - 1, inputs, rows, place.vector)
  if (statistics) reportRoot(report, rows, statistics)
  return { ...place, isSuspect: statistics !== undefined && isSuspect(call, job, statistics) }
}

/**
 * Where the result is made: in its final place if peers can read that and no input is there, or else in this rank's own
 * memory.
 */
function placeOfResult(
  { call, job, codec, scratch, target }: LevelContext,
  { level, own, areElsewhere }: NodeInputs,
): Pick<OwnResult, 'vector' | 'isInPlace'> {
  const { byteLength } = job.resultDtype
  if (target && areElsewhere && codec.isPlain && call.isShared(target.parts))
    return { vector: target.subvector(level.begin * byteLength, level.end * byteLength), isInPlace: true }
  // A result of another dtype does not fit where the inputs were.
  const isWider = job.resultDtype !== job.layout.dtype
  const bytes = isWider ? scratch((level.end - level.begin) * byteLength) : own
  return { vector: Vector.of(bytes), isInPlace: false }
}
