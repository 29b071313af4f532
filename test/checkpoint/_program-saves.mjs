// A rank that saves one checkpoint after the other, until it is killed. Each begins where the last whole one ends, and all
// arrays and values of a checkpoint are made of its step, so that a mixture of two of them would be noticed.

import { connect } from 'adasum'
import { loadCheckpoint, restoreArrays, saveCheckpoint } from 'adasum/checkpoint'

const [folder = ''] = process.argv.slice(2)
const ELEMENTS = 50_000

// The parent may be killed as well.
process.on('disconnect', () => process.exit(0))

const comm = await connect({ timeoutMs: 10_000 })
const [weights, momentum] = [new Float32Array(ELEMENTS), new Float64Array(ELEMENTS)]
const loaded = await loadCheckpoint(folder, { comm })
let step = 0
if (loaded) {
  step = Number(loaded.values.step)
  restoreArrays(loaded.arrays, { weights })
  if (loaded.local) restoreArrays(loaded.local.arrays, { momentum })
  const owner = loaded.local?.rank ?? -1
  const isWhole = weights.every((value) => value === step) && momentum.every((value) => value === step + owner / 8)
  if (!isWhole || owner !== comm.rank % loaded.size) {
    console.error(`step ${step}: weights ${weights[0]}, momentum ${momentum[0]} of rank ${owner}`)
    process.exit(3)
  }
}
process.send?.({ loaded: step })
try {
  for (;;) {
    step++
    weights.fill(step)
    momentum.fill(step + comm.rank / 8)
    const local = { arrays: { momentum } }
    await saveCheckpoint(folder, { arrays: { weights }, values: { step }, local }, { comm })
    process.send?.({ saved: step })
  }
} catch {
  // The other rank was killed.
  process.exit(0)
}
