import type { Call } from '../group/call.ts'
import { SegmentRows } from '../kernels/segment-rows.ts'
import { reportedCoefficients } from '../kernels/statistics.ts'
import type { PhaseObserver } from '../observe/observer.ts'
import type { Reduced } from './job.ts'

/** The part of a call that a schedule needs: the ranks, their messages, and the observer. */
export type Peers = Pick<
  Call,
  'rank' | 'size' | 'title' | 'tuning' | 'receive' | 'borrow' | 'send' | 'isShared' | keyof PhaseObserver
>

/** Renumbers the ranks: number i stands for rank `order[i]`. */
export function inOrder(call: Peers, order: Int32Array): Peers {
  return {
    rank: order.indexOf(call.rank),
    size: call.size,
    title: call.title,
    tuning: call.tuning,
    receive: (from, step, parts, watcher) => call.receive(order[from]!, step, parts, watcher),
    borrow: (from, step, byteLength, memory, watcher) => call.borrow(order[from]!, step, byteLength, memory, watcher),
    send: (to, step, parts, rankFlags, weight) => call.send(order[to]!, step, parts, rankFlags, weight),
    isShared: (parts) => call.isShared(parts),
    begin: (phase) => call.begin(phase),
    end: (span) => call.end(span),
    countOffThread: (count) => call.countOffThread(count),
  }
}

/** Turns what renumbered ranks have reduced back into the order of ranks. */
export function inRankOrder(reduced: Reduced, order: Int32Array): Reduced {
  const presence = { flags: new Uint8Array(order.length), weights: new Float64Array(order.length) }
  order.forEach((rank, i) => {
    presence.flags[rank] = reduced.presence.flags[i]!
    presence.weights[rank] = reduced.presence.weights[i]!
  })
  const { firstSegment, segmentCount, width } = reduced.report
  const report = new SegmentRows(firstSegment, segmentCount, width)
  report.copyFrom(reduced.report)
  // A row of one number has no coefficients.
  for (let segment = firstSegment; width > 1 && segment < report.endSegment; segment++) {
    const [theirs, ours] = [reduced.report, report].map((rows) => reportedCoefficients(rows.row(segment), order.length))
    order.forEach((rank, i) => (ours![rank] = theirs![i]!))
  }
  return { ...reduced, presence, report }
}
