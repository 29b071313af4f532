/** The environment of processes that train, and the framework in them. */
import type * as tfCore from '@tensorflow/tfjs-core'
import { environmentWith } from '../../scripts/lib/adapter-tests.mjs'
import { tfjsNode } from '../../scripts/lib/tfjs-node.mjs'
import type { Cell } from './cell.ts'

/** Programs in TypeScript that import the package as it was built, like those of its users. */
const PROGRAM = '--import=tsx'

/**
 * The environment of a process for such models. TensorFlow's backend for Node.js is built into .tools/ the first time.
 *
 * @param root - of the repository
 */
export async function environmentFor(
  models: ReadonlySet<Cell['model']>,
  root: string,
  say: (text: string) => void,
): Promise<NodeJS.ProcessEnv> {
  // Each process has a core, and the pool has them all.
  const threads = { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1', TF_CPP_MIN_LOG_LEVEL: '2' }
  const tfjs = [...models].some(usesTensorFlow) ? environmentWith(await tfjsNode(root, say)).NODE_OPTIONS : ''
  return { ...process.env, ...threads, NODE_OPTIONS: `${PROGRAM} ${tfjs}`.trim() }
}

/** Makes the framework of a cell ready in this process. */
export async function readyBackend({ model }: Cell): Promise<void> {
  if (!usesTensorFlow(model)) return
  // No dependency: found by the redirection in NODE_OPTIONS.
  await import(['@tensorflow', 'tfjs-node'].join('/'))
  const tf = await import('@tensorflow/tfjs-core')
  await tf.setBackend('tensorflow')
  registerShortReluGradient(tf)
}

/**
 * Replaces the gradient of a rectifier by one of three operations, with the same bits for numbers. On the backend for Node.js that
 * of TensorFlow.js takes eight, which is a fifth of the time that LeNet-5 takes to train.
 */
export function registerShortReluGradient(tf: typeof tfCore): void {
  tf.unregisterGradient('Relu')
  tf.registerGradient({
    kernelName: 'Relu',
    outputsToSave: [true],
    gradFunc: (dy, [y]) => ({
      x: () => tf.mul(dy as tfCore.Tensor, tf.cast(tf.greater(y!, 0), 'float32')),
    }),
  })
}

function usesTensorFlow(model: Cell['model']): boolean {
  return model !== 'plain'
}
