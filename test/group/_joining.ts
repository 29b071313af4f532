/** Worlds whose ranks can join: they have made the calls that others may go on to make. And what a rank may say of its joins. */
import type { ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { COLLECTIVES, WEIGHTED } from '../../ts/src/group/descriptor.ts'
import type { Link } from '../../ts/src/group/link.ts'
import { Instruments } from '../../ts/src/observe/instruments.ts'
import type { CallOptions, Reduction, StallReport } from '../../ts/src/types.ts'
import { type Descriptor, NO_DESCRIPTOR } from '../../ts/src/wire/frame.ts'
import { type World, makeWorld, onAll } from '../_world.ts'

/** Beyond what is sent unasked. */
export const LONG = 40_000

export function reduce(
  comm: Communicator,
  { length = 10, ...options }: CallOptions & { length?: number } = {},
): Promise<Reduction<Float32Array>> {
  return comm.allReduce(new Float32Array(length).fill(1), { op: 'average', weight: 1, ...options })
}

/** A world whose ranks have made two calls: all-reduces with weights, a short and a long one. */
export async function worldOf(size: number, options: Parameters<typeof makeWorld>[1] = {}): Promise<World> {
  const world = await makeWorld(size, options)
  for (const length of [10, LONG]) await onAll(world.ranks, (comm) => reduce(comm, { length }))
  return world
}

/** Such a world, and what its ranks report of calls that stand still, which nothing prints. */
export async function worldWithReports(
  t: ExecutionContext,
  size: number,
  options: { stallMs: number },
): Promise<{ world: World; reports: StallReport[] }> {
  const printers = process.listeners('warning')
  process.removeAllListeners('warning')
  process.on('warning', () => undefined)
  t.teardown(() => {
    process.removeAllListeners('warning')
    for (const printer of printers) process.on('warning', printer)
  })
  const reports: StallReport[] = []
  const onStall = (report: StallReport): void => void reports.push(report)
  const instruments = (rank: number): Instruments => new Instruments({ rank, size, onStall })
  return { world: await worldOf(size, { ...options, instruments }), reports }
}

/** The descriptor of the short call that worlds here have made. */
export async function descriptorOfShortCall(): Promise<Descriptor> {
  const world = await worldOf(2)
  const call = reduce(world.ranks[0]!)
  const descriptor = world.groups[0]!.stateOf(3)
  await Promise.all([call, reduce(world.ranks[1]!)])
  await world.close()
  if (descriptor === undefined || descriptor === 'finished') throw new Error('The call is not under way.')
  return descriptor
}

/** What a peer says over its link. */
export type Word = (link: Link) => unknown

export const JOIN =
  (sequence: number): Word =>
  (link) =>
    link.join(sequence)
export const CALL =
  (sequence: number, descriptor: Descriptor = UNKNOWN): Word =>
  (link) =>
    link.announce(sequence, descriptor)
export const UNKNOWN = {
  ...NO_DESCRIPTOR,
  ...{ collective: COLLECTIVES['all-reduce'], flags: WEIGHTED, elementCount: 10, segmentCount: 1 },
}

/** Lets a rank say something to rank 0. */
export function say({ groups }: World, rank: number, ...words: readonly Word[]): void {
  for (const word of words) word(groups[rank]!.linkTo(0))
}
