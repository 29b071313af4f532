import test from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import {
  distribute,
  type DistributeOptions,
  type FitCallbacks,
  type StepReduction,
} from '../../ts/src/adapters/tfjs/index.ts'
import { failuresOf } from '../_world.ts'
import { gramOf } from '../optim/_gram.ts'
import { reduceOf, relativeError } from '../optim/_oracle.ts'
import { BACKENDS } from './_backend.mjs'
import {
  BATCH,
  batchOf,
  datasetOf,
  equalWeights,
  FEATURES,
  fit,
  LEARNING_RATE,
  type Replica,
  replicas,
  type Setup,
  weightsOf,
} from './_replicas.ts'
import { valuesOf } from './_train.ts'

/** Weights after one epoch, by plain trainOnBatch calls on replicas and the operators in f64. */
async function reference(
  made: readonly Replica[],
  op: 'adasum' | 'average',
  localSteps: number,
): Promise<Float32Array> {
  const segments = made[0]!.model.weights.map(({ shape }) => tf.util.sizeFromShape(shape as number[]))
  const weights = made.map(({ model }) => model.weights.map((weight) => weight.read() as tf.Variable))
  const first = valuesOf(weights[0]!)
  const assign = (variables: tf.Variable[], values: number[] | Float32Array): void => {
    let offset = 0
    for (const variable of variables) {
      const part = values.slice(offset, (offset += variable.size))
      tf.tidy(() => variable.assign(tf.tensor([...part], variable.shape)))
    }
  }
  let start: number[] = [...first]
  for (const variables of weights) assign(variables, start)
  const batches = made[0]!.x.shape[0] / BATCH
  for (let batch = 0; batch < batches; batch++) {
    for (const { model, x, y } of made) {
      const part = (tensor: tf.Tensor): tf.Tensor => tf.slice(tensor, batch * BATCH, BATCH)
      const [inputs, targets] = [part(x), part(y)]
      await model.trainOnBatch(inputs, targets)
      tf.dispose([inputs, targets])
    }
    if ((batch + 1) % localSteps !== 0 && batch + 1 < batches) continue
    const deltas = weights.map((variables) => valuesOf(variables).map((value, i) => value - start[i]!))
    const combined = reduceOf(op, deltas, segments)
    start = start.map((value, i) => value + combined[i]!)
    for (const variables of weights) assign(variables, start)
  }
  return Float32Array.from(start)
}

for (const backend of BACKENDS) {
  test.serial(`${backend}: fit on all ranks is start + op(local - start), batch by batch`, async (t) => {
    await tf.setBackend(backend)
    for (const [size, op, localSteps] of [
      [1, 'adasum', 1],
      [2, 'adasum', 1],
      [3, 'adasum', 2],
      [4, 'average', 3],
    ] as const) {
      // prettier-ignore
      const made = await replicas(t, size)
      const other = await replicas(t, size)
      const reductions: StepReduction[] = []
      const onReduction = (reduction: StepReduction): void => void reductions.push(reduction)
      await Promise.all(made.map((replica) => fit(replica, { op, localSteps, onReduction })))
      const expected = await reference(other, op, localSteps)
      t.true(relativeError(equalWeights(t, made), expected) < 1e-5, `${op} of ${size}, ${localSteps} local steps`)
      t.is(reductions.length, size * Math.ceil(3 / localSteps))
      t.deepEqual(reductions[0]!.segments.map(({ elementCount }) => elementCount), [30, 5, 10, 2]) // prettier-ignore
    }
  })

  test.serial(`${backend}: a clone of a weight keeps its values while training goes on`, async (t) => {
    await tf.setBackend(backend)
    const made = await replicas(t, 2)
    const kept: { clones: tf.Tensor[]; values: Float32Array }[] = []
    const keep = (replica: Replica) => ({
      onBatchEnd: (batch: number) => {
        if (batch > 0) return
        const clones = replica.model.getWeights().map((weight) => tf.clone(weight))
        kept.push({ clones, values: valuesOf(clones) })
      },
    })
    const callbacksOf = (replica: Replica) => [distribute(replica.model, replica.comm, { op: 'adasum' }), keep(replica)]
    await Promise.all(made.map((replica) => fit(replica, { op: 'adasum' }, { callbacks: callbacksOf(replica) })))
    t.is(kept.length, 2)
    for (const { clones, values } of kept) {
      t.deepEqual(valuesOf(clones), values)
      t.notDeepEqual(valuesOf(clones), weightsOf(made[0]!))
      tf.dispose(clones)
    }
  })

  test.serial(`${backend}: training leaves no tensors behind`, async (t) => {
    await tf.setBackend(backend)
    const made = await replicas(t, 2, { normalize: true })
    const counts: number[] = []
    for (let run = 0; run < 3; run++) {
      await Promise.all(made.map((replica) => fit(replica, { op: 'adasum', localSteps: 2 }, { epochs: 2 })))
      counts.push(tf.memory().numTensors)
    }
    t.is(new Set(counts).size, 1, counts.join())
  })
}

test.serial('the statistics of batch normalization are averaged at the end of an epoch', async (t) => {
  const made = await replicas(t, 3, { batches: 1 })
  const momentum = 0.75
  const normalized = made.map((replica): Replica => {
    const model = layers.sequential()
    model.add(layers.layers.batchNormalization({ inputShape: [FEATURES], momentum }))
    model.add(layers.layers.dense({ units: 2 }))
    model.compile({ optimizer: tf.train.sgd(LEARNING_RATE), loss: 'meanSquaredError' })
    return { ...replica, model }
  })
  const histories = await Promise.all(normalized.map((replica) => fit(replica, { op: 'adasum' })))
  equalWeights(t, normalized)
  for (const { history } of histories) t.deepEqual(history, histories[0]!.history)
  // From 0, one batch moves a mean by 1 - momentum of the way to its own; then the ranks average.
  const expected = tf.tidy(() => {
    const means = made.map(({ x }) => tf.mean(x, 0))
    return tf.mul(tf.mean(tf.stack(means), 0), 1 - momentum).dataSync()
  })
  const [movingMean] = normalized[0]!.model.nonTrainableWeights
  t.true(relativeError(movingMean!.read().dataSync(), expected) < 1e-6)
  for (const { model } of normalized) model.dispose()
})

test.serial('logs become averages, for callbacks that come later too', async (t) => {
  const made = await replicas(t, 2, { batches: 1 })
  const seen: [before: number, after: number][] = made.map(() => [NaN, NaN])
  const histories = await Promise.all(
    made.map((replica) => {
      const { model, comm, rank } = replica
      const callbacks = [
        { onEpochEnd: (_: number, logs?: layers.Logs) => void (seen[rank]![0] = logs!['loss']!) },
        distribute(model, comm, { op: 'adasum' }),
        { onEpochEnd: (_: number, logs?: layers.Logs) => void (seen[rank]![1] = logs!['loss']!) },
      ]
      return fit(replica, { op: 'adasum' }, { callbacks })
    }),
  )
  const mean = (seen[0]![0] + seen[1]![0]) / 2
  t.not(seen[0]![0], seen[1]![0])
  for (const [, after] of seen) t.is(after, mean)
  for (const { history } of histories) t.deepEqual(history['loss'], [mean])
})

test.serial('validation losses are averaged as well', async (t) => {
  const made = await replicas(t, 2, { batches: 4 })
  const histories = await Promise.all(
    made.map((replica) => fit(replica, { op: 'adasum' }, { validationSplit: 0.5, epochs: 2 })),
  )
  t.deepEqual(histories[0]!.history, histories[1]!.history)
  t.is(histories[0]!.history['val_loss']!.length, 2)
})

const DIFFERENCES: [string, Setup, (rank: number) => layers.ModelFitArgs, (rank: number) => Partial<DistributeOptions>, RegExp][] = [
  ['samples', { batches: (rank) => 3 + rank }, () => ({}), () => ({}), /the number of batches per epoch is 3 on rank 0 and 4 on rank 1.*comm\.shard/],
  ['batch size', {}, (rank) => ({ batchSize: 4 - rank }), () => ({}), /the batch size is 4 on rank 0 and 3 on rank 1/],
  ['epochs', {}, (rank) => ({ epochs: 1 + rank }), () => ({}), /the number of epochs is 1 on rank 0 and 2 on rank 1/],
  ['first epoch', {}, (rank) => ({ epochs: 3, initialEpoch: rank }), () => ({}), /the initial epoch is 0 on rank 0 and 1 on rank 1/],
  ['localSteps', {}, () => ({}), (rank) => ({ localSteps: 1 + rank }), /localSteps is 1 on rank 0 and 2 on rank 1/],
  ['op', {}, () => ({}), (rank) => ({ op: rank ? 'sum' : 'adasum' }), /op is adasum on rank 0 and sum on rank 1/],
  ['model', { hidden: (rank) => 5 - rank }, () => ({}), () => ({}), /weight 0 is float32\[6, 5\] on rank 0 and float32\[6, 4\] on rank 1/],
] // prettier-ignore

for (const [what, setup, argsOf, optionsOf, message] of DIFFERENCES) {
  test.serial(`ranks that differ in ${what} are told so before the first batch`, async (t) => {
    const made = await replicas(t, 2, setup)
    const runs = made.map((replica) => {
      const options: DistributeOptions = { op: 'adasum', ...optionsOf(replica.rank) }
      return fit(replica, options, argsOf(replica.rank))
    })
    for (const error of await failuresOf(runs)) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, message)
    }
  })
}

test.serial('fitDataset, of unknown length: equal weights and history', async (t) => {
  const made = await replicas(t, 3)
  const histories = await Promise.all(
    made.map((replica) => {
      const callbacks = distribute(replica.model, replica.comm, { op: 'adasum', localSteps: 2 })
      return replica.model.fitDataset(datasetOf(replica), { epochs: 2, verbose: 0, callbacks })
    }),
  )
  equalWeights(t, made)
  for (const { history } of histories) t.deepEqual(history, histories[0]!.history)
})

test.serial('fitDataset: a rank that runs out of batches is named with both counts', async (t) => {
  for (const localSteps of [1, 2]) {
    const made = await replicas(t, 2, { batches: (rank) => 5 - 2 * rank })
    const runs = made.map((replica) => {
      const callbacks = distribute(replica.model, replica.comm, { op: 'adasum', localSteps })
      return replica.model.fitDataset(datasetOf(replica), { epochs: 1, verbose: 0, callbacks })
    })
    for (const error of await failuresOf(runs)) {
      t.like(error, { code: 'ERR_MISMATCH' })
      t.regex(error.message, /rank 1 ended its epoch after 3 batches, rank 0 is at batch 4/)
    }
  }
})

test.serial('an error of a callback rejects fit, and fit can be called again', async (t) => {
  const made = await replicas(t, 2)
  const poison = { onBatchBegin: () => assignNaN(made[1]!.model) }
  const runs = made.map((replica) => {
    const ours = distribute(replica.model, replica.comm, { op: 'adasum' })
    return fit(replica, { op: 'adasum' }, { callbacks: replica.rank === 1 ? [ours, poison] : ours })
  })
  for (const error of await failuresOf(runs)) t.like(error, { code: 'ERR_NON_FINITE' })
  await t.notThrowsAsync(Promise.all(made.map((replica) => fit(replica, { op: 'adasum' }))))
  equalWeights(t, made)
})

function assignNaN(model: layers.LayersModel): void {
  const variable = model.trainableWeights[0]!.read() as tf.Variable
  tf.tidy(() => variable.assign(tf.fill(variable.shape, NaN)))
}

test.serial('gram: matrices of what each batch has changed, a weight each, the same on all ranks', async (t) => {
  const [made, other] = [await replicas(t, 3), await replicas(t, 3)]
  const found: StepReduction[][] = made.map(() => [])
  const onReduction = (rank: number) => (reduction: StepReduction) => void found[rank]!.push(reduction)
  await Promise.all(
    made.map((replica) => fit(replica, { op: 'adasum', gram: true, onReduction: onReduction(replica.rank) })),
  )
  for (const { model } of other.slice(1)) model.setWeights(other[0]!.model.getWeights())
  const changes: Float32Array[] = []
  for (const replica of other) changes.push(await changesByFirstBatch(replica))
  const sizes = made[0]!.model.weights.map(({ shape }) => tf.util.sizeFromShape(shape as number[]))
  let at = 0
  for (const [index, size] of sizes.entries()) {
    const want = gramOf(changes.map((change) => change.subarray(at, at + size)))
    at += size
    for (const [i, row] of found[0]![0]!.segments[index]!.gram!.entries())
      for (const [j, product] of row.entries())
        t.true(
          Math.abs(product - want[i]![j]!) <= 1e-6 * Math.sqrt(want[i]![i]! * want[j]![j]!),
          `${index}: ${i}, ${j}`,
        )
  }
  t.deepEqual(found.map(({ length }) => length), [3, 3, 3]) // prettier-ignore
  const gramsOf = (reductions: StepReduction[]) => reductions.map(({ segments }) => segments.map(({ gram }) => gram))
  for (const reductions of found) t.deepEqual(gramsOf(reductions), gramsOf(found[0]!))
  const runs = made.map((replica) => fit(replica, { op: 'adasum', gram: replica.rank > 0 }))
  for (const error of await failuresOf(runs)) {
    t.like(error, { code: 'ERR_MISMATCH' })
    t.regex(error.message, /gram is absent on rank 0 and given on rank 1/)
  }
})

/** What the first batch of a rank changes. */
async function changesByFirstBatch(replica: Replica): Promise<Float32Array> {
  const { model, x, y } = replica
  const start = weightsOf(replica)
  const [inputs, targets] = [batchOf(x, 0), batchOf(y, 0)]
  await model.trainOnBatch(inputs, targets)
  tf.dispose([inputs, targets])
  return weightsOf(replica).map((weight, i) => weight - start[i]!)
}

test.serial('bad arguments', async (t) => {
  const [{ model, comm }] = (await replicas(t, 1)) as [Replica]
  const make = (options: unknown) => (): FitCallbacks => distribute(model, comm, options as DistributeOptions)
  t.throws(make(undefined), { code: 'ERR_ARGUMENT' })
  t.throws(make({ op: 'median' }), { code: 'ERR_ARGUMENT' })
  t.throws(make({ op: 'sum', localSteps: 0 }), { code: 'ERR_ARGUMENT' })
  const known = 'localSteps, onReduction, op, onNonFinite, hierarchy, compressor, gram, timeoutMs, signal'
  const message = `there is no option "localstep". The options are ${known}.`
  t.throws(make({ op: 'sum', localstep: 4 }), { code: 'ERR_ARGUMENT', message })
  t.notThrows(make({ op: 'sum', localstep: undefined }))
  await t.throwsAsync(distribute(model, comm, { op: 'sum' }).onBatchBegin(0), { code: 'ERR_NOT_READY' })
  for (const nothing of [undefined, null, {}, Promise.resolve(model)] as never[])
    t.throws(() => distribute(nothing, comm, { op: 'sum' }), { code: 'ERR_ARGUMENT', message: /model must be/ })
  for (const nothing of [undefined, null, {}, Promise.resolve(comm)] as never[])
    t.throws(() => distribute(model, nothing, { op: 'sum' }), { code: 'ERR_ARGUMENT', message: /comm must be/ })
  model.trainable = false
  await t.throwsAsync(distribute(model, comm, { op: 'sum' }).onTrainBegin(), { code: 'ERR_ARGUMENT' })
})
