/** What a rank that has joined does in an all-reduce of the others: it counts nothing, and nobody gets its result. */
import type { Binding } from '../binding/binding.ts'
import { allReduce } from '../collectives/all-reduce.ts'
import { withScratch } from '../collectives/call-scratch.ts'
import type { Group } from '../group/group.ts'
import type { ShadowBody } from '../group/joins.ts'
import type { Layout } from '../tensor/layout.ts'
import { Vector } from '../tensor/vector.ts'
import { allReduceJobOf, compressionOf } from './reduce-job.ts'
import type { AllReducePlan } from './reduce-plan.ts'

export function shadowOf(plan: AllReducePlan, { scratch: pool, tuning }: Group, binding: Binding): ShadowBody {
  return (call) =>
    withScratch(pool, async (scratch) => {
      const { layout, outLayout } = plan
      const room = ({ elementCount, dtype }: Layout): Vector => Vector.of(scratch(elementCount * dtype.byteLength))
      const data = room(layout)
      // Nobody looks at the numbers, but they are sent, and scratch memory has held others.
      data.clear()
      const compression = compressionOf(plan, binding, tuning, pool)
      const memory = { data, out: outLayout && room(outLayout), scratch: pool, check: () => undefined, compression }
      await allReduce(call, allReduceJobOf(plan, binding, tuning, memory))
    })
}
