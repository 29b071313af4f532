/**
 * The program of one process: a rank of the group, or a process alone. main.mjs forks it, sends it its part and draws
 * what it reports; it prints nothing itself.
 */
import { setBackend } from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-wasm'
import { connect } from 'adasum'
import { registerTrainingKernels } from 'adasum/tfjs'
import { PARAMETER_COUNT, TEST_IMAGES } from './config.mjs'
import { locateMnist, readExamples } from './data.mjs'
import { createLeNet5 } from './model.mjs'
import { trainRun } from './training.mjs'

/**
 * @typedef {object} Part what a process is told; its place among the ranks stands in the environment
 * @property {number} examples training images to choose from, all ranks together
 * @property {number} seed
 * @property {import('./config.mjs').Plan[]} plans of the runs, one after the other
 */

// An orphan would go on computing for nobody: without its parent a rank ends.
const endAsOrphan = () => process.exit(1)
process.once('disconnect', endAsOrphan)
process.once('message', (part) => work(part).then(leave, fail))

/** Hangs up once all messages are on their way; then nothing keeps this process alive. */
function leave() {
  process.off('disconnect', endAsOrphan)
  process.send({ type: 'finished' }, () => process.disconnect())
}

/** @param {Error & { code?: string }} error */
function fail({ code, message }) {
  process.send({ type: 'failed', code, message }, () => process.exit(1))
}

/** @param {Part} part */
async function work({ examples, seed, plans }) {
  await setBackend('wasm')
  registerTrainingKernels()
  const comm = await connect()
  const folder = locateMnist()
  const training = await readExamples(folder, 'train', comm.shard(examples))
  const testRange = {
    begin: Math.floor((comm.rank * TEST_IMAGES) / comm.size),
    end: Math.floor(((comm.rank + 1) * TEST_IMAGES) / comm.size),
  }
  const test = await readExamples(folder, 'test', testRange)
  const model = createLeNet5(seed)
  if (model.countParams() !== PARAMETER_COUNT) throw new Error(`The model has ${model.countParams()} parameters.`)
  const initialWeights = model.getWeights().map((weight) => weight.clone())
  process.send({ type: 'ready' })
  for (const [run, plan] of plans.entries()) {
    model.setWeights(initialWeights)
    const report = (message) => process.send({ ...message, run })
    const setting = { model, comm, training, test, testBegin: testRange.begin, seed, report }
    report({ type: 'done', ...(await trainRun(setting, plan)) })
  }
  await comm.close()
}
