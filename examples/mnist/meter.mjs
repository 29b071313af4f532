/** What a run costs: its time, and what its communication takes and finds. */
import { performance } from 'node:perf_hooks'

/** The time between start and stop, added up: evaluation is not training. */
export function createStopwatch() {
  let sum = 0
  let startedAt = NaN
  const running = () => (Number.isNaN(startedAt) ? 0 : performance.now() - startedAt)
  return {
    start: () => void (startedAt = performance.now()),
    stop: () => {
      sum += running()
      startedAt = NaN
    },
    seconds: () => (sum + running()) / 1000,
  }
}

/**
 * The time of each all-reduce, waiting for the slowest rank included, its bytes, and for Adasum the orthogonality of every
 * weight tensor.
 *
 * @param {import('adasum').Communicator} comm
 */
export function createMeter(comm) {
  let milliseconds = 0
  let bytesSent = 0
  /** @type {number[][]} */
  const orthogonality = []
  const allReduce = async (data, options) => {
    const begin = performance.now()
    try {
      return await comm.allReduce(data, options)
    } finally {
      milliseconds += performance.now() - begin
    }
  }
  const { rank, size } = comm
  return {
    /** The communicator with a watch on it, as far as an optimizer needs it. */
    comm: { rank, size, allReduce, broadcast: comm.broadcast.bind(comm), allGather: comm.allGather.bind(comm) },
    onReduction: (reduction) => {
      bytesSent += reduction.bytesSent
      if (reduction.segments[0].orthogonality === undefined) return
      orthogonality.push(reduction.segments.map((segment) => segment.orthogonality))
    },
    totals: () => ({ communicationSeconds: milliseconds / 1000, bytesSent, orthogonality }),
  }
}
