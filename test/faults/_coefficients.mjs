// A rank whose function differs on rank 1 in the way that the first argument names; the second is the schedule. Prints
// the code and the message of the error, or the result.
import { connect } from 'adasum'

const [way, algorithm] = process.argv.slice(2)
const comm = await connect()
const differs = comm.rank === 1
const coefficients = (/** @type {readonly Float64Array[]} */ gram) => {
  if (differs && way === 'throws') throw new Error('this rank is odd')
  if (differs && way === 'is short') return [1]
  return gram.map(() => (differs && way === 'differs' ? 2 : 1))
}
const data = { small: new Float32Array(10).fill(1), large: new Float32Array(60_000).fill(comm.rank) }
try {
  const options = { op: { name: 'custom', coefficients }, algorithm, timeoutMs: 20_000 }
  const { result } = await comm.allReduce(data, /** @type {any} */ (options))
  console.log(`sum ${result.large[0]}`)
} catch (error) {
  const { code, message } = /** @type {import('adasum').AdasumError} */ (error)
  console.log(`${code} ${message}`)
}
await comm.close().catch(() => undefined)
