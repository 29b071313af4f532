// The program for arrays of any framework, as the API was designed, with a gradient before it. Prints one JSON line.
import { connect } from 'adasum'

const comm = await connect()
const gradient = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i + comm.rank))

// ---- as designed, from here
const { segments } = await comm.allReduce(gradient, { op: 'adasum', segments: [600, 400] })
// ---- to here

await comm.close()
process.stdout.write(`${JSON.stringify({ rank: comm.rank, size: comm.size, segments, result: [...gradient] })}\n`)
