/** Checkpoints that training makes of itself: at epochs, and where a signal stops it. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import { loadTraining, trainingCheckpoints } from '../../ts/src/adapters/tfjs/index.ts'
import { folder } from '../checkpoint/_folder.ts'
import { compile, linesOf, outcomeOf, ROOT, startAdasum } from '../cli/_adasum.ts'
import './_backend.mjs'

const PROGRAM = fileURLToPath(new URL('_program-stopped.mjs', import.meta.url))

test.before(compile)

interface End {
  rank: number
  batches: number
  epoch: number
  kept: string | null
  listeners: number
  weights: string
}

/** Trains in two processes; those of the given rank get the signal once they wait. */
async function train(t: ExecutionContext, args: (string | number)[], stop?: [NodeJS.Signals, rank: number]) {
  const child = startAdasum(t, ['run', '-n', '2', PROGRAM, ...args.map(String)], { cwd: ROOT })
  if (stop !== undefined) {
    const [pid] = await linesOf(child, new RegExp(`\\[${stop[1]}\\] pid (\\d+)\n`), 1)
    process.kill(Number(pid), stop[0])
  }
  const { exitCode, stdout, stderr } = await outcomeOf(child)
  t.is(exitCode, 0, stderr)
  const ends = stdout.split('\n').flatMap((line) => /^\[\d\] (\{.*)$/.exec(line)?.[1] ?? [])
  return ends.map((line) => JSON.parse(line) as End).toSorted((a, b) => a.rank - b.rank)
}

for (const [signal, rank] of [
  ['SIGTERM', 1],
  ['SIGINT', 0],
] as const)
  // prettier-ignore
  test.serial(`stopped by ${signal} in the middle of an epoch, it goes on with the bits of a run that was not`, async (t) => {
    const whole = await train(t, [folder(t), 3, 1_000])
    const runs = folder(t)
    const stopped = await train(t, [runs, 3, 8], [signal, rank])
    const { batches, epoch } = stopped[0]!
    // Six batches an epoch: it was in the second one.
    t.true(batches >= 8 && batches < 18, `${batches}`)
    t.is(epoch, Math.floor(batches / 6))
    t.deepEqual(stopped.map((end) => [end.batches, end.listeners]), [[batches, 0], [batches, 0]]) // prettier-ignore
    const rest = await train(t, [runs, 3, 1_000])
    t.deepEqual(rest.map((end) => [end.batches, end.epoch]), [[18 - batches, 3], [18 - batches, 3]]) // prettier-ignore
    t.true(rest.every(({ kept }) => kept !== null))
    t.deepEqual(rest.map(({ weights }) => weights), whole.map(({ weights }) => weights)) // prettier-ignore
  })

test.serial(
  'a training that ends keeps what it came to, whatever the number of epochs between checkpoints',
  async (t) => {
    const runs = folder(t)
    await train(t, [runs, 3, 1_000, 2])
    t.deepEqual(readdirSync(runs).filter((name) => name.startsWith('checkpoint')).length, 2)
    const [again] = await train(t, [runs, 3, 1_000, 2])
    t.like(again, { batches: 0, epoch: 3 })
  },
)

function compiled(t: ExecutionContext): layers.Sequential {
  const model = layers.sequential()
  model.add(layers.layers.dense({ inputShape: [2], units: 1 }))
  model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' })
  t.teardown(() => void model.dispose())
  return model
}

test.serial('one process alone, without distribute; values are asked for at each save', async (t) => {
  const [runs, model] = [folder(t), compiled(t)]
  let asked = 0
  const content = { model, values: () => ({ asked: ++asked }), localValues: () => ({ mine: asked }) }
  const callbacks = trainingCheckpoints(runs, content, { keep: 1, everyEpochs: 2 })
  await model.fit(tf.ones([4, 2]), tf.ones([4, 1]), { epochs: 5, verbose: 0, callbacks })
  t.is(asked, 3)
  const other = compiled(t)
  const loaded = await loadTraining(runs, { model: other })
  t.like(loaded, { values: { asked: 3 }, localValues: { mine: 3 } })
  t.deepEqual(other.getWeights().map((w) => [...w.dataSync()]), model.getWeights().map((w) => [...w.dataSync()])) // prettier-ignore
})

test.serial('a fit that fails leaves no second listener, and the second signal does what it did before', async (t) => {
  const model = compiled(t)
  let heard = 0
  const listener = (): void => void heard++
  process.on('SIGUSR2', listener)
  t.teardown(() => process.off('SIGUSR2', listener))
  const ours = trainingCheckpoints(folder(t), { model }, { signals: ['SIGUSR2'] })
  const failing = { onBatchEnd: () => Promise.reject(new Error('of the caller')) }
  for (let i = 0; i < 2; i++) {
    await t.throwsAsync(
      model.fit(tf.ones([4, 2]), tf.ones([4, 1]), { verbose: 0, callbacks: [ours, failing] as never }),
    )
    t.is(process.listenerCount('SIGUSR2'), 2)
  }
  process.emit('SIGUSR2', 'SIGUSR2')
  t.deepEqual([heard, process.listenerCount('SIGUSR2'), model.stopTraining], [1, 1, true])
})

test('mistakes', (t) => {
  const model = compiled(t)
  const cases: [content: object, options: object, message: RegExp][] = [
    [{ model: 1 }, {}, /model must be one of tfjs-layers/],
    [{ model, values: {} }, {}, /values is .*; it must be a function/],
    [{ model, localValues: 1 }, {}, /localValues is 1; it must be a function/],
    [{ model, step: 1 }, {}, /step/],
    [{ model }, { everyEpochs: 0 }, /everyEpochs is 0/],
    [{ model }, { every: 1 }, /every/],
    ...['SIGTERM', ['TERM'], ['SIGKILL'], ['toString'], [15], null].map((signals): [object, object, RegExp] => [{ model }, { signals }, /signals is .*; it must be a list/]),
  ] // prettier-ignore
  for (const [content, options, message] of cases)
    t.throws(() => trainingCheckpoints('x', content as { model: typeof model }, options), { code: 'ERR_ARGUMENT', message }) // prettier-ignore
})
