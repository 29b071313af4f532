// What every rank of a world runs, once over TCP and once over shared memory: all-reduces of every dtype, operator and
// schedule, from allocated arrays and from others. Rank 0 prints a digest of each result, and how the ranks reach each other.
//
//     _digests.mjs <elements> [<pair>,...]     pairs of dtype and operator by their number; all by default

import { createHash } from 'node:crypto'
import { connect } from 'adasum'
import { fill } from '../binding/_every-call.mjs'

const [count, numbers] = [Number(process.argv[2]), process.argv[3]?.split(',').map(Number)]
const comm = await connect()

const PAIRS = [
  ...['f32', 'f64', 'f16', 'bf16'].flatMap((name) => ['sum', 'average', 'adasum', 'max'].map((op) => [name, op])),
  ...['u8', 'i32', 'u32', 'i64', 'u64'].flatMap((name) => ['sum', 'min'].map((op) => [name, op])),
]
const pairs = numbers?.map((number) => PAIRS[number] ?? []) ?? PAIRS
const ALGORITHMS = comm.size > 16 ? ['levels'] : ['direct', 'single-shot', 'levels']

/** @param {any} array */
const digestOf = (array) =>
  createHash('sha256')
    .update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
    .digest()

let turn = 0
for (const algorithm of ALGORITHMS)
  for (const [name = '', op] of pairs) {
    const make = () => {
      const array = comm.allocate(/** @type {'f32'} */ (name), count)
      return turn % 2 === 0 ? array : array.slice()
    }
    const data = fill(make(), name, comm.rank)
    const half = name === 'f16' || name === 'bf16' ? { dtype: name } : {}
    const out = turn % 3 === 0 ? {} : { out: make() }
    const options = /** @type {any} */ ({ op, algorithm, segments: [7, count - 7], ...half, ...out })
    const { result } = await comm.allReduce(data, options)
    const all = await comm.allGather(digestOf(result))
    const isSame = Array.from({ length: comm.size }, (_, rank) => all.subarray(32 * rank, 32 * rank + 32))
    if (!isSame.every((digest) => Buffer.from(digest).equals(Buffer.from(all.subarray(0, 32)))))
      throw new Error(`${algorithm} ${name} ${op}: ranks differ`)
    if (comm.rank === 0) console.log(`${algorithm} ${name} ${op} ${digestOf(result).toString('hex')}`)
    turn++
  }
if (comm.rank === 0) console.log(`transport ${comm.transport}`)
await comm.close()
