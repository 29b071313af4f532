/** A process with a timeline that ends in some way: `_traced.ts SIGKILL|exit|throws|closes`. */
import { connect } from '../../ts/src/index.ts'

const [ending] = process.argv.slice(2)
const comm = await connect()
console.log('begun')
for (let i = 0; i < 3000; i++) await comm.allReduce(new Float32Array(10), { op: 'adasum' })
// Whoever kills it may be late; more and more calls until then would fill the timeline to its limit.
if (ending === 'SIGKILL') await new Promise(() => setInterval(() => undefined, 1000))
if (ending === 'exit') process.exit(0)
if (ending === 'throws') throw new Error('wrong on purpose')
await comm.close()
