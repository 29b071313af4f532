/** The state of a call on its way through the levels, and where things lie in its memory. */
import { bytesOf } from '../../tensor/check.ts'
import { Vector } from '../../tensor/vector.ts'
import type { SegmentRows } from '../../kernels/segment-rows.ts'
import { newReport } from '../../kernels/statistics.ts'
import { type Codec, PlainCodec, type Stretch, codecOf } from '../compression/codec.ts'
import type { AllReduceJob, Scratch } from '../job.ts'
import type { Peers } from '../peers.ts'
import { type Presence, newPresence } from '../presence.ts'
import type { Level, Transfer } from '../schedule/level-plan.ts'
import type { Interval } from '../schedule/slices.ts'
import { rowsBeginningIn } from './node-rows.ts'

/** The steps of a level. Those of the Gram exchange begin at STEP_NODES. */
export const STEP_EXCHANGE = 0
export const STEP_GATHER = 1
export const STEP_NODES = 2
const STEPS_A_LEVEL = 64
/** The last step of a level. */
export const STEP_COMPARE: number = STEPS_A_LEVEL - 1
/** Enough for 16 levels; no world has ten. */
export const STEPS_A_BUCKET: number = 1024

export interface LevelContext {
  readonly call: Peers
  readonly job: AllReduceJob
  readonly levels: readonly Level[]
  readonly firstStep: number
  readonly scratch: Scratch
  /** Where the whole result gathers, if that is known. */
  readonly target?: Vector
  readonly codec: Codec
  /** Memory for inputs and intermediate results. */
  readonly room: Uint8Array
  readonly presence: Presence
  /** What every rank learns of each segment. */
  readonly report: SegmentRows
  /** The messages sent at each level. */
  readonly sends: Promise<void>[][]
}

/** @param leastElementCount - elements that `room` must hold in any case */
export function newContext(
  call: Peers,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  leastElementCount: number,
  firstStep = 0,
): LevelContext {
  const { layout, detail } = job
  const room = scratch(roomElementCount(levels, leastElementCount) * layout.dtype.byteLength)
  const report = newReport(layout.segmentElementCounts.length, detail, call.size)
  const codec = codecOf(job, scratch)
  const presence = newPresence(call, job.weight)
  return { call, job, levels, firstStep, scratch, codec, room, presence, report, sends: [] }
}

/**
 * The most elements for which a rank needs memory at the same time: the results up to a level, and that level's inputs.
 */
export function roomElementCount(levels: readonly Level[], least: number): number {
  let [held, most] = [0, least]
  for (const { begin, end, inputs } of levels) {
    most = Math.max(most, held + inputs.length * (end - begin))
    held += end - begin
  }
  return most
}

/** Memory for each input of a level. It follows the results of the levels before; this rank's own input comes first. */
export function roomsOf({ job, levels, room }: LevelContext, index: number): Uint8Array[] {
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

export function stepOf({ firstStep }: LevelContext, index: number, step: number): number {
  return firstStep + index * STEPS_A_LEVEL + step
}

export function isInner({ hierarchy }: AllReduceJob, index: number): boolean {
  return hierarchy !== undefined && index < hierarchy.innerLevelCount
}

/** The codec of a level. Within machines nothing is quantised, since the network takes no time there. */
export function codecAt({ job, codec }: LevelContext, index: number): Codec {
  return isInner(job, index) ? new PlainCodec(job) : codec
}

/** The report of the segments that begin in an interval, as a part of a message. */
export function reportBytes({ job, report }: LevelContext, interval: Interval): Uint8Array {
  return bytesOf(rowsBeginningIn(job.layout, report, interval))
}

/** The elements of a transfer, in pool memory that holds the vector from element `first` on. */
export function stretchOf(
  { layout }: AllReduceJob,
  bytes: Uint8Array,
  first: number,
  { begin, end }: Transfer,
): Stretch {
  const { byteLength } = layout.dtype
  const part = bytes.subarray((begin - first) * byteLength, (end - first) * byteLength)
  return { begin, end, vector: Vector.of(part), memory: 'pool' }
}

/** The transfers within this rank, and those with other ranks. */
export function partition(transfers: readonly Transfer[], rank: number): [mine: Transfer[], others: Transfer[]] {
  return [
    transfers.filter((transfer) => transfer.rank === rank),
    transfers.filter((transfer) => transfer.rank !== rank),
  ]
}
