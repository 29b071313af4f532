/** Descriptors of calls: what all ranks must agree on. */
import { COLLECTIVES, type CollectiveName, SCHEDULES, UNEVEN } from '../group/descriptor.ts'
import type { Dtype } from '../tensor/dtype.ts'
import { layoutHash } from '../tensor/layout-hash.ts'
import type { Layout } from '../tensor/layout.ts'
import { type Descriptor, NO_DESCRIPTOR } from '../wire/frame.ts'

/** @param layout - what all ranks must have alike; undefined: only the dtype */
export function exchangeDescriptorOf(collective: CollectiveName, dtype: Dtype, layout: Layout | undefined): Descriptor {
  if (layout) return { ...descriptorOf(collective, layout), schedule: SCHEDULES.flat }
  const code = COLLECTIVES[collective]
  return { ...NO_DESCRIPTOR, collective: code, dtype: dtype.code, flags: UNEVEN, schedule: SCHEDULES.flat }
}

export function descriptorOf(collective: CollectiveName, layout: Layout): Descriptor {
  return {
    ...NO_DESCRIPTOR,
    collective: COLLECTIVES[collective],
    dtype: layout.dtype.code,
    resultDtype: layout.dtype.code,
    elementCount: layout.elementCount,
    segmentCount: layout.segmentElementCounts.length,
    layoutHash: layoutHash(layout),
  }
}
