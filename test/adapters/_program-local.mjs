// The program without a network, as the API was designed, with three gradients before it. Prints one JSON line.
import { adasum } from 'adasum'

const [g1, g2, g3] = [Float32Array.of(4, 0, 0, 1), Float32Array.of(0, 2, 0, 1), Float32Array.of(0, 0, 1, 1)]

// ---- as designed, from here
const { result } = await adasum([g1, g2, g3])
// ---- to here

process.stdout.write(`${JSON.stringify({ result: [...result] })}\n`)
