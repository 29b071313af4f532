/**
 * Steps of a program of collectives over two groups: how a rank calls one, and what it must get. Processes of their own
 * play them too, so an outcome is what can be sent between processes.
 */
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { allReduceSchedule } from '../../ts/src/collectives/schedule/schedule.ts'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync, averageSync, sumSync } from '../../ts/src/reduction/local.ts'
import type { AllReduceAlgorithm, AllReduceOp, CallOptions } from '../../ts/src/types.ts'
import { bitsOf, vectorOf } from '../_world.ts'

export const KINDS = [
  ...(['allReduce', 'reduceScatter', 'broadcast', 'allGather', 'unevenGather', 'allToAll'] as const),
  ...(['message', 'barrier'] as const),
]
export const OPS = ['sum', 'average', 'adasum', 'min', 'max'] as const satisfies AllReduceOp[]
export const ALGORITHMS = ['auto', 'direct', 'single-shot', 'levels', 'rvh'] as const satisfies AllReduceAlgorithm[]

/** One collective, as a rank calls it, or one message. */
export interface Step {
  /** 0: the world; 1: the group of all ranks in reverse order. */
  readonly group: 0 | 1
  readonly kind: (typeof KINDS)[number]
  /** The operator, if it is a reduction. */
  readonly op: (typeof OPS)[number]
  /** The algorithm, if it is an all-reduce. */
  readonly algorithm: AllReduceAlgorithm
  readonly isDouble: boolean
  readonly count: number
  /** Also the sender of a message, which goes to the next rank. */
  readonly root: number
  readonly names: 'none' | 'ab' | 'xy'
}

type Arrays = Float32Array | Float64Array

const receiverOf = ({ root }: Step, size: number): number => (root + 1) % size

function takesPart(step: Step, rank: number, size: number): boolean {
  return step.kind !== 'message' || rank === step.root || rank === receiverOf(step, size)
}

/** Ranks of the group without which a call cannot complete on any rank. */
export function ranksNeeded(step: Step, size: number): number[] {
  if (step.kind === 'broadcast') return [step.root]
  return [...Array(size).keys()].filter((rank) => takesPart(step, rank, size))
}

/** What all ranks must have in common; what a collective does not look at is left out. */
export function meaningOf({ kind, op, algorithm, isDouble, count, root, names }: Step, size: number): string {
  if (kind === 'barrier') return kind
  // Its data may differ from rank to rank in everything but the dtype.
  if (kind === 'unevenGather') return [kind, isDouble].join()
  const schedule =
    algorithm === 'auto' ? allReduceSchedule(size, count * (isDouble ? 8 : 4), DEFAULT_TUNING) : algorithm
  return [
    ...[kind, isDouble, count],
    ...[kind === 'allReduce' || kind === 'reduceScatter' ? op : '', kind === 'allReduce' ? schedule : ''],
    ...[kind === 'broadcast' ? root : '', ['allReduce', 'broadcast', 'message'].includes(kind) ? names : ''],
  ].join()
}

/**
 * By what a rank's steps are matched: the number among those of the same group, or for messages of the same sender.
 * Undefined where it takes no part.
 */
export function keysOf(steps: readonly Step[], rank: number, size: number): (string | undefined)[] {
  const counts = new Map<string, number>()
  return steps.map((step) => {
    if (!takesPart(step, rankIn(step.group, rank, size), size)) return undefined
    const stream = step.kind === 'message' ? `${step.group} from ${step.root}` : `${step.group}`
    const index = counts.get(stream) ?? 0
    counts.set(stream, index + 1)
    return `${stream} #${index}`
  })
}

/** The rank that a rank of the world is in a group, and the other way round. */
export const rankIn = (group: 0 | 1, rank: number, size: number): number => (group === 0 ? rank : size - 1 - rank)

/** Ranks of an uneven gather have no, half or all of the elements. */
const lengthOf = ({ kind, count }: Step, rank: number): number =>
  kind === 'unevenGather' ? (count / 2) * (rank % 3) : count

function inputOf(step: Step, rank: number, key: string): Arrays {
  const length = lengthOf(step, rank)
  const seed = [...key].reduce((sum, character) => sum * 31 + character.charCodeAt(0), rank) % 1009
  return vectorOf<Arrays>(step.isDouble ? new Float64Array(length) : new Float32Array(length), seed)
}

function named(array: Arrays, names: Step['names']): Arrays | Record<string, Arrays> {
  if (names === 'none') return array
  const [first, second] = [...names] as [string, string]
  const half = Math.floor(array.length / 2)
  return { [first]: array.subarray(0, half), [second]: array.subarray(half) }
}

const segmentsOf = ({ count, names }: Step): number[] => {
  const half = Math.floor(count / 2)
  return names === 'none' ? [count] : [half, count - half]
}

/** The result's bits. */
async function call(comm: Communicator, step: Step, input: Arrays, options: CallOptions): Promise<string> {
  const { kind, op, names } = step
  if (kind === 'barrier') return comm.barrier(options).then(() => '')
  if (kind === 'allGather') return bitsOf(await comm.allGather(input, options))
  if (kind === 'unevenGather') return bitsOf((await comm.allGather(input, { uneven: true, ...options })).result)
  if (kind === 'allToAll') return bitsOf((await comm.allToAll(input, options)).result)
  if (kind === 'reduceScatter') return bitsOf((await comm.reduceScatter(input, { op, ...options })).result)
  // These work in place: what fails must leave the data alone.
  const data = input.slice()
  const before = bitsOf(data)
  await inPlace(comm, step, named(data, names), options).catch((error: unknown) => {
    if (bitsOf(data) !== before) throw new Error(`${kind} failed and has changed its input`)
    throw error
  })
  return bitsOf(data)
}

function inPlace(comm: Communicator, step: Step, data: ReturnType<typeof named>, options: CallOptions) {
  const { kind, op, algorithm, root } = step
  if (kind === 'broadcast') return comm.broadcast(data, { root, ...options })
  if (kind === 'allReduce') return comm.allReduce(data as Record<string, Float32Array>, { op, algorithm, ...options })
  if (comm.rank === root) return comm.send(data, { to: receiverOf(step, comm.size), ...options })
  return comm.receive(data, { from: root, ...options })
}

/**
 * What a rank of the group must get.
 *
 * @param steps - what each rank of the group has called, in the same sense as this one; undefined for bystanders
 */
export function expected(step: Step, key: string, rank: number, steps: readonly (Step | undefined)[]): string {
  const { kind, root } = step
  const size = steps.length
  const inputs = steps.map((own, of) => inputOf(own ?? step, of, key))
  const part = (array: Arrays, of: number): Arrays =>
    array.subarray((of * array.length) / size, ((of + 1) * array.length) / size)
  switch (kind) {
    case 'barrier':
      return ''
    case 'allReduce':
      return bitsOf(reduced(step, inputs))
    case 'reduceScatter':
      return bitsOf(part(reduced({ ...step, algorithm: 'auto', names: 'none' }, inputs), rank))
    case 'broadcast':
    case 'message':
      return bitsOf(inputs[root]!)
    case 'allGather':
    case 'unevenGather':
      return bitsOf(joined(inputs))
    case 'allToAll':
      return bitsOf(joined(inputs.map((input) => part(input, rank))))
  }
}

const LOCAL = { sum: sumSync, average: averageSync, adasum: adasumSync }

function reduced({ op, algorithm, ...step }: Step, inputs: readonly Arrays[]): Arrays {
  if (op === 'min' || op === 'max') return inputs[0]!.map((_, i) => Math[op](...inputs.map((input) => input[i]!)))
  const local = (some: readonly Arrays[]): Arrays =>
    LOCAL[op](some as Float32Array[], { segments: segmentsOf({ op, algorithm, ...step }) }).result
  if (algorithm !== 'rvh') return local(inputs)
  // It stores, hence rounds, what each pair of halves gives.
  let nodes = inputs
  while (nodes.length > 1) nodes = nodes.flatMap((node, i) => (i % 2 ? [] : [local([node, nodes[i + 1]!])]))
  return nodes[0]!
}

function joined(arrays: readonly Arrays[]): Arrays {
  const length = arrays.reduce((sum, array) => sum + array.length, 0)
  const all = arrays[0] instanceof Float64Array ? new Float64Array(length) : new Float32Array(length)
  let at = 0
  for (const array of arrays) all.set(array, (at += array.length) - array.length)
  return all
}

/** How a call has ended on one rank. */
export interface Outcome {
  readonly key: string
  /** The result's bits. */
  readonly value?: string
  readonly code?: string
  readonly message?: string
  readonly peerRank?: number | undefined
}

export interface Playing {
  /** Whether the next call begins before the last one has ended. */
  readonly isAtOnce: boolean
  readonly timeoutMs: number
  /** The call that this rank's caller gives up. */
  readonly abortAt?: number
  /** Called when a step has begun. */
  readonly begun?: (index: number) => void
}

/** Runs a rank's program. */
export async function play(
  comms: readonly [Communicator, Communicator],
  steps: readonly Step[],
  { isAtOnce, timeoutMs, abortAt, begun }: Playing,
): Promise<Outcome[]> {
  const { rank, size } = comms[0]
  const keys = keysOf(steps, rank, size)
  const outcomes: Promise<Outcome>[] = []
  for (const [i, step] of steps.entries()) {
    const key = keys[i]
    if (key !== undefined) {
      const comm = comms[step.group]
      const controller = new AbortController()
      const options = { timeoutMs, ...(i === abortAt && { signal: controller.signal }) }
      const outcome = outcomeOf(key, call(comm, step, inputOf(step, comm.rank, key), options))
      outcomes.push(outcome)
      if (i === abortAt) setTimeout(() => controller.abort(), 1)
    }
    begun?.(i)
    if (!isAtOnce) await outcomes.at(-1)
  }
  return Promise.all(outcomes)
}

async function outcomeOf(key: string, running: Promise<string>): Promise<Outcome> {
  try {
    return { key, value: await running }
  } catch (error) {
    if (!(error instanceof AdasumError)) return { key, code: 'none', message: String(error) }
    const { code, message, peerRank } = error
    return { key, code, message, peerRank }
  }
}
