import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import {
  averageNonTrainableWeights,
  broadcastWeights,
  loadWeights,
  saveWeights,
} from '../../ts/src/adapters/tfjs/index.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { failuresOf, makeWorld, onAll } from '../_world.ts'
import { fc, runsOf } from '../_property.ts'
import { gaussian } from '../optim/_oracle.ts'
import { BACKENDS } from './_backend.mjs'

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'adasum-weights-'))
  t.teardown(() => rm(path, { recursive: true }))
  return path
}

/** Variables of every dtype and of awkward shapes; names that an object would put in another order. */
function variablesWith(seed: number): tf.Variable[] {
  const integers = Int32Array.from(gaussian(4, seed), (value) => value * 1e6)
  const made = [
    tf.variable(tf.tensor(gaussian(6, seed), [2, 3])),
    tf.variable(tf.tensor(integers, [4], 'int32'), false),
    tf.variable(tf.scalar(seed + 0.5)),
    tf.variable(tf.tensor([seed % 2 === 0, true, false], [3], 'bool'), false),
    tf.variable(tf.zeros([0, 5])),
    tf.variable(tf.tensor(gaussian(5, seed + 1), [5, 1, 1])),
  ]
  return made
}

const contentsOf = (variables: readonly tf.Tensor[]): number[][] =>
  variables.map((variable) => [...variable.dataSync()])

function model(units = 4): layers.Sequential {
  const made = layers.sequential()
  made.add(layers.layers.dense({ units, inputShape: [3] }))
  made.add(layers.layers.batchNormalization())
  return made
}

for (const backend of BACKENDS) {
  test.serial(`${backend}: all ranks get the root's weights, whatever their dtype`, async (t) => {
    await tf.setBackend(backend)
    for (const [size, root] of [
      [1, 0],
      [2, 1],
      [4, 2],
    ] as const) {
      // prettier-ignore
      const world = await makeWorld(size)
      const variables = world.ranks.map((_, rank) => variablesWith(10 * rank + 1))
      const expected = contentsOf(variables[root]!)
      const tensors = tf.memory().numTensors
      await onAll(world.ranks, (comm, rank) => broadcastWeights(variables[rank]!, comm, { root }))
      for (const mine of variables) t.deepEqual(contentsOf(mine), expected)
      t.is(tf.memory().numTensors, tensors)
      await world.close()
      tf.dispose(variables)
    }
  })

  test.serial(`${backend}: weights survive a file`, async (t) => {
    await tf.setBackend(backend)
    const path = join(await folder(t), 'weights.safetensors')
    const [saved, loaded] = [variablesWith(3), variablesWith(8)]
    await saveWeights(saved, path)
    const tensors = tf.memory().numTensors
    await loadWeights(loaded, path)
    t.deepEqual(contentsOf(loaded), contentsOf(saved))
    t.is(tf.memory().numTensors, tensors)
    tf.dispose([saved, loaded])
  })
}

test.serial('a dtype of which there are only weights without elements has nothing to say', async (t) => {
  const world = await makeWorld(2)
  const variables = world.ranks.map((_, rank) => [
    tf.variable(tf.tensor1d([rank, rank + 1])),
    tf.variable(tf.zeros([0, 3], 'int32'), false),
  ])
  await onAll(world.ranks, (comm, rank) => broadcastWeights(variables[rank]!, comm))
  for (const [weights] of variables) t.deepEqual([...weights!.dataSync()], [0, 1])
  await world.close()
  tf.dispose(variables)
})

test.serial('a model: non-trainable weights included, once each', async (t) => {
  const path = join(await folder(t), 'model.safetensors')
  const [first, second] = [model(), model()]
  t.is(first.weights.length, 6)
  await saveWeights(first, path)
  await loadWeights(second, path)
  t.deepEqual(contentsOf(second.getWeights()), contentsOf(first.getWeights()))
})

test.serial('the file is in the safetensors format: other tools can read it', async (t) => {
  const path = join(await folder(t), 'weights.safetensors')
  const kernel = tf.variable(tf.tensor2d([[1, 2, 3], [4, 5, 6]]), true, 'layer/kernel') // prettier-ignore
  const step = tf.variable(tf.scalar(7, 'int32'), false, 'step')
  await saveWeights([kernel, step], path)
  const file = await readFile(path)
  const headerLength = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerLength)) as Record<string, unknown>
  t.is(headerLength % 8, 0)
  t.deepEqual(header['layer/kernel'], { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] })
  t.deepEqual(header['step'], { dtype: 'I32', shape: [], data_offsets: [24, 28] })
  t.is(file.length, 8 + headerLength + 28)
  t.is(file.readFloatLE(8 + headerLength + 20), 6)
  t.is(file.readInt32LE(8 + headerLength + 24), 7)
  tf.dispose([kernel, step])
})

test.serial('saving replaces the old file and leaves no other', async (t) => {
  const path = await folder(t)
  const [first, second] = [variablesWith(1), variablesWith(2)]
  await saveWeights(first, join(path, 'weights'))
  await saveWeights(second, join(path, 'weights'))
  t.deepEqual(await readdir(path), ['weights'])
  await loadWeights(first, join(path, 'weights'))
  t.deepEqual(contentsOf(first), contentsOf(second))
})

test.serial('a place that cannot be written', async (t) => {
  const path = await folder(t)
  const variables = variablesWith(1)
  const error = await t.throwsAsync(saveWeights(variables, join(path, 'missing', 'weights')), { code: 'ERR_ARGUMENT' })
  t.like(error, { cause: { code: 'ENOENT' } })
  // A folder in the place of the file: the rename fails, and the temporary file goes away.
  await t.throwsAsync(saveWeights(variables, path), { code: 'ERR_ARGUMENT' })
  t.deepEqual(await readdir(path), [])
  await t.throwsAsync(loadWeights(variables, join(path, 'weights')), {
    code: 'ERR_ARGUMENT',
    message: /could not be read/,
  })
})

test.serial("another model's file is refused with both shapes, and nothing is written", async (t) => {
  const path = join(await folder(t), 'weights')
  await saveWeights(model(4), path)
  const other = model(5)
  const before = contentsOf(other.getWeights())
  const message = /weight 0 .* is float32\[3, 5\] in the model and float32\[3, 4\] in the file/
  await t.throwsAsync(loadWeights(other, path), { code: 'ERR_MISMATCH', message })
  t.deepEqual(contentsOf(other.getWeights()), before)
  await t.throwsAsync(loadWeights(variablesWith(1).slice(0, 2), path), {
    code: 'ERR_MISMATCH',
    message: /holds 6 weights, the model has 2/,
  })
})

test.serial('a truncated or damaged file is refused, and nothing is written', async (t) => {
  const path = join(await folder(t), 'weights')
  const variables = variablesWith(1)
  await saveWeights(variables, path)
  const whole = await readFile(path)
  const before = contentsOf(variables)
  const refuses = async (file: Uint8Array): Promise<boolean> => {
    await writeFile(path, file)
    const error: unknown = await loadWeights(variables, path).catch((reason: unknown) => reason)
    return error instanceof AdasumError && ['ERR_ARGUMENT', 'ERR_MISMATCH', 'ERR_UNSUPPORTED'].includes(error.code)
  }
  const length = fc.nat({ max: whole.length - 1 })
  await fc.assert(
    fc.asyncProperty(length, (end) => refuses(whole.subarray(0, end))),
    { numRuns: runsOf(60) },
  )
  const flip = async (at: number, bit: number): Promise<boolean> => {
    const damaged = Uint8Array.from(whole)
    damaged[at]! ^= 1 << bit
    if (await refuses(damaged)) return true
    // A blank of the header's padding may change; what was loaded must be what was saved.
    return JSON.stringify(contentsOf(variables)) === JSON.stringify(before)
  }
  await fc.assert(fc.asyncProperty(length, fc.nat({ max: 7 }), flip), { numRuns: runsOf(300) })
  t.deepEqual(contentsOf(variables), before)
})

test.serial('models that differ are told so with both shapes, and nothing is written', async (t) => {
  const world = await makeWorld(3)
  t.teardown(() => world.close())
  const models = world.ranks.map((_, rank) => model(rank === 2 ? 5 : 4))
  const before = models.map((each) => contentsOf(each.getWeights()))
  const errors = await failuresOf(world.ranks.map((comm, rank) => broadcastWeights(models[rank]!, comm)))
  for (const error of errors) {
    t.like(error, { code: 'ERR_MISMATCH', rank: errors.indexOf(error), peerRank: 2 })
    t.regex(error.message, /weight 0 is float32\[3, 4\] on rank 0 and float32\[3, 5\] on rank 2/)
  }
  t.deepEqual(models.map((each) => contentsOf(each.getWeights())), before) // prettier-ignore
})

test.serial('non-trainable weights: floats are averaged, others those of rank 0', async (t) => {
  const world = await makeWorld(2)
  t.teardown(() => world.close())
  const models = world.ranks.map((_, rank) => {
    const nonTrainableWeights = [tf.tensor1d([1 + rank, 2]), tf.tensor1d([5 + rank], 'int32')]
    const read = nonTrainableWeights.map((value) => tf.variable(value, false)).map((value) => ({ read: () => value }))
    return { weights: read, trainableWeights: [], nonTrainableWeights: read }
  })
  await onAll(world.ranks, (comm, rank) => averageNonTrainableWeights(models[rank]!, comm))
  for (const { weights } of models) t.deepEqual(contentsOf(weights.map(({ read }) => read())), [[1.5, 2], [5]]) // prettier-ignore
})

test.serial('bad arguments', async (t) => {
  const world = await makeWorld(1)
  t.teardown(() => world.close())
  const [comm] = world.ranks
  for (const weights of [undefined, null, [], {}, [1], [tf.scalar(1)], { weights: [] }]) {
    await t.throwsAsync(broadcastWeights(weights as never, comm!), { code: 'ERR_ARGUMENT' })
  }
  const text = tf.variable(tf.tensor(['a']))
  await t.throwsAsync(broadcastWeights([text], comm!), { code: 'ERR_UNSUPPORTED', message: /is string/ })
  const variables = variablesWith(1)
  await t.throwsAsync(broadcastWeights(variables, comm!, { root: 1 }), { code: 'ERR_ARGUMENT' })
  const message = 'there is no option "rank". The options are root, timeoutMs, signal.'
  await t.throwsAsync(broadcastWeights(variables, comm!, { rank: 0 } as object), { code: 'ERR_ARGUMENT', message })
  await t.throwsAsync(averageNonTrainableWeights(model(), comm!, { root: 0 } as object), {
    message: /no option "root"/,
  })
  const noModel = { code: 'ERR_ARGUMENT', message: /^model must be one of tfjs-layers; got a plain array/ }
  await t.throwsAsync(averageNonTrainableWeights(variables as never, comm!), noModel)
  for (const nothing of [undefined, null, {}, Promise.resolve(comm)] as never[]) {
    const refused = { code: 'ERR_ARGUMENT', message: /^comm must be a communicator; got .*await connect/ }
    await t.throwsAsync(broadcastWeights(variables, nothing), refused)
    await t.throwsAsync(averageNonTrainableWeights(model(), nothing), refused)
  }
})

test.serial('a path that is none is refused before anything is read or written', async (t) => {
  const variables = variablesWith(1)
  for (const path of [undefined, null, 3, '', {}] as never[]) {
    const refused = { code: 'ERR_ARGUMENT', message: /^path is .*; it must be a string/ }
    const error = await t.throwsAsync(saveWeights(variables, path), refused)
    // Whatever was refused by the system has its error as cause.
    t.is(error?.cause, undefined)
    await t.throwsAsync(loadWeights(variables, path), refused)
  }
})
