/**
 * What an all-reduce costs as the world grows, all ranks in one process over sockets of loopback, so that one thread does
 * everything: the time divided by n is a rank's own work.
 *
 *     npx tsx --conditions=adasum-source bench/world-size.ts [--bytes 1048576] [--iterations 9]
 *
 * Prints a JSON line a world size and operator: median milliseconds of a call for all ranks together, microseconds a rank,
 * bytes that a rank sends beside the least that any all-reduce can send, and all bytes sent in a second (GB = 1e9).
 */
import { parseArgs } from 'node:util'
import { tcp } from '../ts/src/transport/tcp.ts'
import { makeWorld, onAll } from '../test/_world.ts'

const { values } = parseArgs({
  options: { bytes: { type: 'string', default: `${1 << 20}` }, iterations: { type: 'string', default: '9' } },
})
const [bytes, iterations] = [Number(values.bytes), Number(values.iterations)]

for (const size of [2, 4, 8, 16, 32, 64]) {
  const world = await makeWorld(size, { transport: tcp })
  const data = world.ranks.map((_, rank) => new Float32Array(bytes / 4).fill(rank + 1))
  const out = data.map((array) => new Float32Array(array.length))
  for (const op of ['sum', 'adasum'] as const) {
    const times: number[] = []
    let sent = 0
    for (let i = -2; i < iterations; i++) {
      const start = performance.now()
      const results = await onAll(world.ranks, (comm, rank) => comm.allReduce(data[rank]!, { op, out: out[rank]! }))
      if (i >= 0) times.push(performance.now() - start)
      sent = results.reduce((sum, { bytesSent }) => sum + bytesSent, 0) / size
    }
    const ms = times.sort((a, b) => a - b)[times.length >> 1]!
    const least = ((2 * (size - 1)) / size) * bytes
    console.log(
      JSON.stringify({
        ...{ n: size, op, bytes, ms: round(ms), usPerRank: round((ms * 1e3) / size) },
        ...{ sentPerRank: Math.round(sent), leastSentPerRank: least, gbps: round((sent * size) / ms / 1e6) },
      }),
    )
  }
  await world.close()
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}
