/**
 * All-reduce by levels (schedule/tree.ts): up the tree of ranks and down again. Single-shot is the tree that is cut at
 * its root only.
 *
 * Up (climb.ts): at each level a rank collects the inputs of its node on its own interval, reduces them, and holds the
 * node's result on that interval. Each message also carries rows of statistics (node-rows.ts), and the flags and
 * weights of all ranks below the input. So every rank knows them all when it has the root's inputs, before any of the result is sent
 * on. (Where the Gram matrices show what is not finite, no flags are sent on the way up: see non-finite.ts.)
 *
 * Down (gather.ts): the result returns along the same paths, straight to where it gathers.
 *
 *     memory of a call beside the caller's (the data, and `out` if given):
 *
 *     level 0   [ own | the other inputs                      ]    the result takes the place of the own input
 *     level 1   [held | own | others ]
 *     level 2   [held |held |own | others ]
 *     gather    [ the whole result, unless there is an `out`  ]
 *
 * which is the vector's length, and a few blocks. Where memory is shared, a rank reads the others' inputs of level 0
 * where they lie, and their places stay empty. If the data is shared memory, so does the place of its own input; and if
 * no place is used at all, the result of a single level is made where the whole result gathers.
 *
 * Messages may be quantised (compression/codec.ts), except those within machines if machines are combined first
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
  if (!own) return nothingReduced(job, call.size, context.presence)
  const isSuspect = await gather(context, own, gathering, posted)
  return { result, report: context.report, presence: context.presence, isSuspect }
}
