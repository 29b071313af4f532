/**
 * All-reduce by levels (schedule/tree.ts), up the tree and down again; single-shot is the one that cuts at the root alone.
 *
 * Up (climb.ts): at each level every rank gets the inputs of its node on its interval, reduces them, and holds the node's result
 * there. With the elements go the rows of statistics (node-rows.ts) and the flags of all ranks below the input, so that every
 * rank knows all flags when it has the root's inputs, before anything of the result is sent on. (Where the Gram matrices show
 * what is not finite, nobody says anything on the way up: see non-finite.ts.)
 * Down (gather.ts): the result goes the same ways back, straight to where it gathers.
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
 * What is sent may be quantised (compression/codec.ts), except within machines where these reduce among themselves first
 * (hierarchy.ts).
 */
import { Vector } from '../../tensor/vector.ts'
import type { AllReduceJob, Reduced, Scratch } from '../job.ts'
import { nothingReduced } from '../non-finite.ts'
import type { Peers } from '../peers.ts'
import type { Level } from '../schedule/level-plan.ts'
import { climb } from './climb.ts'
import { newContext } from './context.ts'
import { gather, postGather } from './gather.ts'

export async function reduceByLevels(
  call: Peers,
  job: AllReduceJob,
  levels: readonly Level[],
  scratch: Scratch,
  firstStep = 0,
): Promise<Reduced> {
  const { elementCount } = job.layout
  const fresh = newContext(call, job, levels, scratch, job.out ? 0 : elementCount, firstStep)
  const result = job.out ?? Vector.of(fresh.room.subarray(0, job.data.byteLength))
  const context = { ...fresh, target: result }
  const memory = job.out ? 'caller' : 'pool'
  const gathering = context.codec.gather(levels.length, { begin: 0, end: elementCount, vector: result, memory })
  const posted = job.out && postGather(context, gathering)
  const own = await climb(context)
  if (!own) return nothingReduced(job, call.size, context.flags)
  const isSuspect = await gather(context, own, gathering, posted)
  return { result, report: context.report, flags: context.flags, isSuspect }
}
