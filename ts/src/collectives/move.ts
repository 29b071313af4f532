/** Collectives that move bytes without computing: broadcast, all-gather, barrier. */
import { type Call, peersOf } from '../group/call.ts'
import type { ScratchPool } from '../tensor/scratch.ts'
import { broadcastSchedule, equalParts } from './schedule.ts'

export interface BroadcastJob {
  readonly root: number
  /** The root's is sent; the others' is overwritten when all of it has come. */
  readonly data: Uint8Array
  readonly scratch: ScratchPool
  readonly check: () => void
}

export async function broadcast(call: Call, job: BroadcastJob): Promise<void> {
  const { root, data, scratch, check } = job
  const isRoot = call.rank === root
  const bytes = isRoot ? data : scratch.acquire(data.length)
  const parts = broadcastSchedule(call.size, data.length) === 'flat' ? flat : scatterGather
  await parts(call, root, bytes)
  if (isRoot) return
  check()
  data.set(bytes)
  scratch.release(bytes)
}

/** The root sends everything to every rank. */
async function flat(call: Call, root: number, bytes: Uint8Array): Promise<void> {
  if (call.rank !== root) await call.receive(root, 0, [bytes])
  else await Promise.all(peersOf(call).map((peer) => call.send(peer, 0, [bytes])))
}

/** The root sends each rank an equal part; then every rank sends its part to all that lack it. */
async function scatterGather(call: Call, root: number, bytes: Uint8Array): Promise<void> {
  const offsets = equalParts(bytes.length, call.size)
  const part = (rank: number): Uint8Array[] => [bytes.subarray(offsets[rank], offsets[rank + 1])]
  const others = peersOf(call).filter((peer) => peer !== root)
  if (call.rank === root) {
    await Promise.all(others.flatMap((peer) => [call.send(peer, 0, part(peer)), call.send(peer, 1, part(root))]))
    return
  }
  const mine = call.receive(root, 0, part(call.rank))
  const rest = peersOf(call).map((peer) => call.receive(peer, 1, part(peer)))
  await mine
  await Promise.all(others.map((peer) => call.send(peer, 1, part(call.rank))))
  await Promise.all(rest)
}

/** Every rank's bytes into `result`, in rank order. */
export async function allGather(call: Call, bytes: Uint8Array, result: Uint8Array): Promise<void> {
  const part = (rank: number): Uint8Array => result.subarray(rank * bytes.length, (rank + 1) * bytes.length)
  const receives = peersOf(call).map((peer) => call.receive(peer, 0, [part(peer)]))
  part(call.rank).set(bytes)
  await Promise.all(peersOf(call).map((peer) => call.send(peer, 0, [part(call.rank)])))
  await Promise.all(receives)
}

/** Nobody leaves before everybody has come. */
export async function barrier(call: Call): Promise<void> {
  const receives = peersOf(call).map((peer) => call.receive(peer, 0, []))
  await Promise.all(peersOf(call).map((peer) => call.send(peer, 0, [])))
  await Promise.all(receives)
}
