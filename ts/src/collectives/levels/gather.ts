/**
 * The way down the levels: each rank's part of the result returns along the paths on which the inputs came, to where it
 * gathers.
 */
import { NOT_FINITE } from '../../group/descriptor.ts'
import type { Gathering } from '../compression/codec.ts'
import { isNonFinite } from '../presence.ts'
import type { Transfer } from '../schedule/level-plan.ts'
import type { OwnResult } from './climb.ts'
import { type LevelContext, STEP_GATHER, partition, reportBytes, stepOf } from './context.ts'

/**
 * Posts receives for the whole result. At each level, what this rank sent away of its interval comes back from its
 * owners.
 */
export function postGather(context: LevelContext, gathering: Gathering): Promise<number>[][] {
  const { call, levels } = context
  return levels.map(({ sends }, index) =>
    partition(sends, call.rank)[1]
      .filter(hasElements)
      .map((to) => call.receive(to.rank, stepOf(context, index, STEP_GATHER), gatherParts(context, gathering, to))),
  )
}

/** Returns whether any rank suspects that an input is not finite. With several levels none does. */
export async function gather(
  context: LevelContext,
  own: OwnResult,
  gathering: Gathering,
  posted: Promise<number>[][] | undefined,
): Promise<boolean> {
  const { call, job, levels, sends } = context
  const span = call.begin('gather')
  const { begin, end } = levels.at(-1)!
  // The messages of later levels are sent from memory in which the result gathers; those of the first are sent from the
  // caller's.
  if (!job.out) await Promise.all(sends.slice(1).flat())
  job.check()
  if (!own.isInPlace) await gathering.put({ begin, end, vector: own.vector, memory: 'pool' })
  const arrivals = posted ?? postGather(context, gathering)
  const flags = [own.isSuspect ? NOT_FINITE : 0]
  for (let index = levels.length - 1; index >= 0; index--) {
    const others = partition(levels[index]!.receives, call.rank)[1].filter(hasElements)
    for (const to of others) {
      const isOwn = index === levels.length - 1
      const parts = isOwn ? ownParts(context, own, gathering, to) : gatherParts(context, gathering, to)
      sends[index]!.push(call.send(to.rank, stepOf(context, index, STEP_GATHER), parts, flags[0]))
    }
    flags.push(...(await Promise.all(arrivals[index]!)))
  }
  await Promise.all(sends.flat())
  await gathering.finish()
  call.end(span)
  return flags.some(isNonFinite)
}

function gatherParts(context: LevelContext, gathering: Gathering, interval: Transfer): Uint8Array[] {
  return [...gathering.between(interval), reportBytes(context, interval)]
}

/** This rank's own part, from where it was made: peers may be able to read it there, and not in the caller's `out`. */
function ownParts(
  context: LevelContext,
  { vector, isInPlace }: OwnResult,
  gathering: Gathering,
  to: Transfer,
): Uint8Array[] {
  const { job, levels, codec } = context
  if (!job.out || isInPlace || !codec.isPlain) return gatherParts(context, gathering, to)
  const { begin } = levels.at(-1)!
  const { byteLength } = job.resultDtype
  const parts = vector.partsBetween((to.begin - begin) * byteLength, (to.end - begin) * byteLength)
  return [...parts, reportBytes(context, to)]
}

const hasElements = ({ begin, end }: Transfer): boolean => begin < end
