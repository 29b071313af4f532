// The backends of TensorFlow.js on which the tests of the adapter run: those for cpu and wasm, or, where ADASUM_TFJS_BACKEND
// is `tensorflow`, that of @tensorflow/tfjs-node alone. The latter is no dependency: `npm run test:tfjs-node` brings it along.

import * as tf from '@tensorflow/tfjs-core'

const isNode = process.env['ADASUM_TFJS_BACKEND'] === 'tensorflow'
for (const name of isNode ? ['node'] : ['backend-cpu', 'backend-wasm']) await import(`@tensorflow/tfjs-${name}`)

/** One that has every kernel. It is in use once this file has been imported. */
export const PLAIN_BACKEND = isNode ? 'tensorflow' : 'cpu'
/** The one that programs train on. */
export const FAST_BACKEND = isNode ? 'tensorflow' : 'wasm'
export const BACKENDS = [...new Set([PLAIN_BACKEND, FAST_BACKEND])]
await tf.setBackend(PLAIN_BACKEND)
