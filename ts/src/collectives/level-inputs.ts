/**
 * How the inputs of a level's node come to a rank: into memory of its own, or, those of the first level where memory is shared
 * with their ranks, by looking at them where they lie.
 */
import type { Incoming } from '../group/call.ts'
import { Vector } from '../tensor/vector.ts'
import type { Arrivals } from './arrival.ts'
import type { Transfer } from './level-plan.ts'
import type { Rows } from './level-rows.ts'
import { type Run, STEP_EXCHANGE, passageAt, stepOf, stretchOf, trailer } from './level-run.ts'
import { received } from './passage.ts'

/** Inputs that other ranks have been asked for. */
export interface Asked {
  /** Of the messages, in their order. */
  readonly flags: readonly Promise<number>[]
  /** Where all inputs lie, as soon as this is known. */
  readonly located: () => Promise<Vector[]>
  /** Whether any of them is in this rank's own memory; to be asked once they are located. */
  readonly isHere: () => boolean
  readonly finish: () => Promise<void>
}

export function receive(
  run: Run,
  index: number,
  theirs: readonly Transfer[],
  rooms: readonly Uint8Array[],
  rows: readonly Rows[] | undefined,
): Asked {
  const { call, job, levels } = run
  const level = levels[index]!
  const passage = passageAt(run, index)
  const flags = theirs.map((from) => {
    const incoming = passage.incoming(stretchOf(job, rooms[from.input]!, level.begin, from))
    const parts = [...incoming.parts, ...trailer(run, level, rows?.[from.input], from)]
    return received(call.receive(from.rank, stepOf(run, index, STEP_EXCHANGE), parts), incoming)
  })
  const located = (): Promise<Vector[]> => Promise.resolve(rooms.map((room) => Vector.of(room)))
  return { flags, located, isHere: () => true, finish: () => Promise.resolve() }
}

/** Inputs of the first level are one rank's each, all of the interval, with nothing behind it: they may stay where they are. */
export function isBorrowed(run: Run, index: number): boolean {
  return index === 0 && passageAt(run, index).isPlain
}

export function borrow(
  run: Run,
  theirs: readonly Transfer[],
  rooms: readonly Uint8Array[],
  arrival: Arrivals | undefined,
): Asked {
  const { call } = run
  const step = stepOf(run, 0, STEP_EXCHANGE)
  let isHere = false
  const incoming = theirs.map(({ rank: from, input }, i): Incoming => {
    const byteLength = rooms[input]!.length
    const memory = (): Uint8Array[] => {
      isHere = true
      return [rooms[input]!]
    }
    if (arrival) return arrival.borrow(i, { from, step, byteLength, memory })
    return call.borrow(from, step, byteLength, memory)
  })
  const flags = incoming.map(({ received }) => received.then(({ rankFlags }) => rankFlags))
  // Somebody waits for them later, or the group's failure is what counts.
  for (const each of flags) each.catch(() => undefined)
  const located = async (): Promise<Vector[]> => {
    const vectors = rooms.map((room) => Vector.of(room))
    const places = await Promise.all(incoming.map(({ parts }) => parts))
    places.forEach((parts, i) => (vectors[theirs[i]!.input] = new Vector(parts)))
    return vectors
  }
  const finish = async (): Promise<void> => {
    for (const { received } of incoming) await (await received).finish()
  }
  return { flags, located, isHere: () => isHere, finish }
}
