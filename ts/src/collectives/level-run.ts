/** What a rank has at hand on its way through the levels, and where things are in it. */
import { bytesOf } from '../tensor/check.ts'
import { Vector } from '../tensor/vector.ts'
import type { AllReduceJob, Scratch } from './job.ts'
import type { Level, Transfer } from './level-plan.ts'
import type { Report, Rows } from './level-rows.ts'
import { type Passage, PlainPassage, type Stretch } from './passage.ts'
import type { Peers } from './peers.ts'

/** Steps of a level: these, and those of the Gram exchange from STEP_NODES on. */
export const STEP_EXCHANGE = 0
export const STEP_GATHER = 1
export const STEP_NODES = 2
const STEPS_A_LEVEL = 64
/** Ten levels are more than any world has. */
export const STEPS_A_BUCKET: number = 1024

export interface Run {
  readonly call: Peers
  readonly job: AllReduceJob
  readonly levels: readonly Level[]
  readonly firstStep: number
  readonly scratch: Scratch
  /** Where the whole result comes together, if that is known. */
  readonly target?: Vector
  readonly passage: Passage
  /** Memory for inputs and intermediate results. */
  readonly room: Uint8Array
  /** Of every rank, as far as they are known. */
  readonly flags: Uint8Array
  readonly report: Report
  /** Messages of the way up, level by level. */
  readonly sends: Promise<void>[][]
}

export function stepOf({ firstStep }: Run, index: number, step: number): number {
  return firstStep + index * STEPS_A_LEVEL + step
}

export function isInner({ hierarchy }: AllReduceJob, index: number): boolean {
  return hierarchy !== undefined && index < hierarchy.innerLevelCount
}

/** Within machines nothing is quantised: there the network is not what takes time. */
export function passageAt({ job, passage }: Run, index: number): Passage {
  return isInner(job, index) ? new PlainPassage(job) : passage
}

/** Rows and flags of an input that is more than one rank; of a single rank the header says it. */
export function trailer(
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

/** Elements of a transfer in pool memory that holds the vector from `first` on. */
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
