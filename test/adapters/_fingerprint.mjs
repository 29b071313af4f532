// Whether ranks hold the same weights, in a word that they can print.
import { createHash } from 'node:crypto'

/** @param {import('@tensorflow/tfjs-layers').LayersModel} model */
export function fingerprintOf(model) {
  const hash = createHash('sha256')
  for (const weight of model.getWeights()) hash.update(new Uint8Array(weight.dataSync().buffer))
  return hash.digest('hex')
}
