/** What moves bytes without computing: broadcast, all-gather, all-to-all, barrier, and messages between two ranks. */
import { type Call, peersOf } from '../group/call.ts'
import { bytesOf } from '../tensor/check.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import { Vector } from '../tensor/vector.ts'
import type { BroadcastSchedule } from './schedule/schedule.ts'
import { equalParts } from './schedule/slices.ts'

export interface BroadcastJob {
  readonly root: number
  readonly schedule: BroadcastSchedule
  /** What the root sends. On the other ranks it is overwritten when the whole message is here. */
  readonly data: Vector
  readonly scratch: ScratchPool
  readonly check: () => void
}

export async function broadcast(call: Call, job: BroadcastJob): Promise<void> {
  const { root, data, scratch, check } = job
  const spread = job.schedule === 'flat' ? flat : scatterGather
  if (call.rank === root) return spread(call, root, data)
  const bytes = scratch.acquire(data.byteLength)
  await spread(call, root, Vector.of(bytes))
  check()
  data.set(Vector.of(bytes))
  scratch.release(bytes)
}

/** The root sends everything to every rank. */
async function flat(call: Call, root: number, { parts }: Vector): Promise<void> {
  const exchange = call.begin('exchange')
  if (call.rank !== root) await call.receive(root, 0, parts)
  else await Promise.all(peersOf(call).map((peer) => call.send(peer, 0, parts)))
  call.end(exchange)
}

/** The root sends each rank an equal part; then each rank sends its part to all others. */
async function scatterGather(call: Call, root: number, vector: Vector): Promise<void> {
  const offsets = equalParts(vector.byteLength, call.size)
  const part = (rank: number): Uint8Array[] => vector.partsBetween(offsets[rank]!, offsets[rank + 1]!)
  const others = peersOf(call).filter((peer) => peer !== root)
  const exchange = call.begin('exchange')
  if (call.rank === root) {
    await Promise.all(others.flatMap((peer) => [call.send(peer, 0, part(peer)), call.send(peer, 1, part(root))]))
    return call.end(exchange)
  }
  const mine = call.receive(root, 0, part(call.rank))
  const rest = peersOf(call).map((peer) => call.receive(peer, 1, part(peer)))
  await mine
  call.end(exchange)
  const gather = call.begin('gather')
  await Promise.all(others.map((peer) => call.send(peer, 1, part(call.rank))))
  await Promise.all(rest)
  call.end(gather)
}

const STEP_LENGTHS = 0
const STEP_PARTS = 1

/** Sends `outgoing[r]` to rank r, and receives what rank r sends this one into `incoming[r]`. */
export async function exchange(
  call: Call,
  outgoing: readonly Uint8Array[],
  incoming: readonly Uint8Array[],
): Promise<void> {
  await exchangeStep(call, STEP_PARTS, outgoing, incoming)
  incoming[call.rank]!.set(outgoing[call.rank]!)
}

/** Sends each rank its number, and returns the numbers that the ranks send this one, by rank. */
export async function exchangeNumbers(call: Call, numbers: readonly number[]): Promise<number[]> {
  const outgoing = numbers.map((number) => bytesOf(Float64Array.of(number)))
  const incoming = numbers.map((number) => Float64Array.of(number))
  await exchangeStep(call, STEP_LENGTHS, outgoing, incoming.map(bytesOf))
  return incoming.map(([number], rank) => (rank === call.rank ? numbers[rank]! : number!))
}

async function exchangeStep(
  call: Call,
  step: number,
  outgoing: readonly Uint8Array[],
  incoming: readonly Uint8Array[],
): Promise<void> {
  const span = call.begin('exchange')
  const receives = peersOf(call).map((peer) => call.receive(peer, step, [incoming[peer]!]))
  await Promise.all(peersOf(call).map((peer) => call.send(peer, step, [outgoing[peer]!])))
  await Promise.all(receives)
  call.end(span)
}

/** Sends a message between two ranks. The receiver's `data` is filled when the whole message is here. */
export async function message(
  call: Call,
  { from, to }: { from: number; to: number },
  { data, scratch, check }: Pick<BroadcastJob, 'data' | 'scratch' | 'check'>,
): Promise<void> {
  const exchange = call.begin('exchange')
  if (call.rank === from) {
    await call.send(to, 0, data.parts)
    return call.end(exchange)
  }
  const bytes = scratch.acquire(data.byteLength)
  await call.receive(from, 0, [bytes])
  call.end(exchange)
  check()
  data.set(Vector.of(bytes))
  scratch.release(bytes)
}

/** Resolves on no rank before all ranks have called it. */
export async function barrier(call: Call): Promise<void> {
  const exchange = call.begin('exchange')
  const receives = peersOf(call).map((peer) => call.receive(peer, 0, []))
  await Promise.all(peersOf(call).map((peer) => call.send(peer, 0, [])))
  await Promise.all(receives)
  call.end(exchange)
}
