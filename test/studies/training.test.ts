/** The workers of the studies: simulated ones are what processes of their own would be, and all of them see the same. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { adasumSync } from '../../ts/src/index.ts'
import { type Cell, type Result, phasesOf } from '../../studies/training/cell.ts'
import { emulate } from '../../studies/training/emulation.ts'
import { jumpOf, windowsOf } from '../../studies/questions/elastic.ts'
import { orthogonalityOf, stepOf } from '../../studies/questions/orthogonality.ts'
import { combineLocally, simulated } from '../../studies/training/exchange.ts'
import { logPointOf } from '../../studies/training/log.ts'
import { HELD_OUT, type Model } from '../../studies/training/model.ts'
import { makePlain } from '../../studies/training/plain.ts'
import { SampleStream, normalNumbers } from '../../studies/training/random.ts'
import { sentBy } from '../../studies/training/sent.ts'
import { scheduleOf, train } from '../../studies/training/train.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const CELL: Cell = {
  ...{ task: 'train', model: 'plain', data: 'made-up', optimizer: 'momentum', op: 'adasum', of: 'deltas', workers: 4 },
  ...{ localBatch: 4, samples: 800, trainingCount: 500, rate: 0.05, warmup: 0.05, decay: 'linear', seed: 3 },
  ...{ split: 'validation', evaluationCount: 200 },
}

// Each run has a model of its own, since it keeps weights and tests run at the same time.
const trained = (change: Partial<Cell>, model: Model = makePlain()): Promise<Result> =>
  train({ ...CELL, ...change }, model, simulated)

async function byProcesses(cell: Cell): Promise<Result> {
  const program = join('studies', 'engine', 'rank.ts')
  const args = [join('bin', 'adasum.js'), 'run', '-n', String(cell.workers), program, JSON.stringify(cell)]
  const env = { ...process.env, NODE_OPTIONS: '--import=tsx' }
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env })
  return JSON.parse(stdout.slice(stdout.indexOf('{'), stdout.lastIndexOf('}') + 1)) as Result
}

const BY_PROCESSES: Partial<Cell>[] = [
  { op: 'adasum', of: 'deltas', workers: 4 },
  { op: 'damped', of: 'gradients', workers: 3, optimizer: 'adam', rate: 0.01 },
  { op: 'adascale', of: 'deltas', workers: 2, optimizer: 'lamb', rate: 0.01 },
]

for (const change of BY_PROCESSES)
  test(`simulated workers come to the bits of processes: ${JSON.stringify(change)}`, async (t) => {
    const [one, other] = [await trained(change), await byProcesses({ ...CELL, ...change })]
    t.deepEqual({ ...one, seconds: 0 }, { ...other, seconds: 0 })
    t.true(one.accuracy > 0.5, String(one.accuracy))
  })

test('processes that exchange in a format come near to those that do not, and not to their bits', async (t) => {
  const [whole, coded] = [await trained({ workers: 2 }), await byProcesses({ ...CELL, workers: 2, precision: 'int8' })]
  t.not(coded.sha256, whole.sha256)
  t.true(Math.abs(coded.loss! / whole.loss! - 1) < 0.1, `${coded.loss} beside ${whole.loss}`)
})

const isNear = (one: Result, other: Result): boolean => Math.abs(one.loss! - other.loss!) < 1e-4 * one.loss!

test('with momentum, sum is the average at n times the rate, and averages of deltas and of gradients are the same', async (t) => {
  const average = await trained({ op: 'average', of: 'gradients', rate: 0.08 })
  t.true(isNear(average, await trained({ op: 'sum', of: 'gradients', rate: 0.02 })))
  t.true(isNear(average, await trained({ op: 'average', of: 'deltas', rate: 0.08 })))
  t.false(isNear(average, await trained({ op: 'adasum', of: 'deltas', rate: 0.08 })))
})

test('deltas have a state for each worker: with Adam their average is another one', async (t) => {
  const change = { op: 'average', optimizer: 'adam', rate: 0.01 } as const
  t.false(isNear(await trained({ ...change, of: 'deltas' }), await trained({ ...change, of: 'gradients' })))
})

test('micro-batches of one worker are workers, to the bit', async (t) => {
  const workers = await trained({ of: 'gradients', workers: 4 })
  t.is((await trained({ of: 'gradients', workers: 1, microBatches: 4 })).sha256, workers.sha256)
})

test('samples come in the same order whatever takes them, each once an epoch', (t) => {
  const all = new SampleStream(10, 1).take(30)
  const parts = new SampleStream(10, 1)
  t.deepEqual([...parts.take(7), ...parts.take(0), ...parts.take(16), ...parts.take(7)], [...all])
  const epochs = [0, 10, 20].map((begin) => [...all.subarray(begin, begin + 10)])
  for (const epoch of epochs) t.deepEqual([...epoch].sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) // prettier-ignore
  t.notDeepEqual(epochs[0], epochs[1])
  t.notDeepEqual([...new SampleStream(10, 2).take(10)], epochs[0])
})

test('a run is judged once, on the samples that it is to be judged on, and trains on none that are held out', async (t) => {
  for (const split of ['validation', 'test'] as const) {
    const plain = makePlain()
    const judged: string[] = []
    let largest = 0
    const watched: Model = {
      ...plain,
      gradient: (indices, target) => {
        largest = Math.max(largest, ...indices)
        return plain.gradient(indices, target)
      },
      evaluate: (on, count) => {
        judged.push(`${on} ${count}`)
        return plain.evaluate(on, count)
      },
    }
    await trained({ split }, watched)
    t.deepEqual(judged, [`${split} 200`])
    t.is(largest, CELL.trainingCount - 1)
  }
  t.is(HELD_OUT, 5000)
})

test('a run that diverges is stopped, and counts as guessing', async (t) => {
  for (const change of [{ rate: 100 }, { rate: 1e30 }, { rate: 1e30, of: 'gradients' }] as const) {
    const found = await trained({ ...change, op: 'sum', warmup: 0, samples: 8000 })
    t.true(found.diverged && found.steps < 500, `${found.steps}`)
    t.deepEqual([found.accuracy, found.loss], [0.25, null])
  }
  t.false((await trained({})).diverged)
})

test('the schedule rises, falls to 0, and drops where it is to drop', (t) => {
  const rates = (change: Partial<Cell>, steps: number): number[] => {
    const schedule = scheduleOf({ ...CELL, rate: 1, warmup: 0, ...change }, steps)
    return Array.from({ length: steps }, (_, step) => Number(schedule(step).toFixed(6)))
  }
  t.deepEqual(rates({}, 4), [1, 0.8, 0.6, 0.4])
  t.deepEqual(rates({ decay: 'none', warmup: 0.5 }, 4), [0.5, 1, 1, 1])
  t.deepEqual(rates({ decay: 'drops' }, 4), [1, 1, 0.1, 0.01])
})

test('parts with different numbers of workers have the same samples', (t) => {
  t.deepEqual(phasesOf({ ...CELL, workers: [8, 4, 12], localBatch: 1, samples: 288 }), [
    { workers: 8, steps: 12 },
    { workers: 4, steps: 24 },
    { workers: 12, steps: 8 },
  ])
})

test('workers that join and leave: the others go on with their state', async (t) => {
  const same = await trained({ workers: [4, 4], samples: 800 })
  t.is(same.sha256, (await trained({ workers: 4 })).sha256)
  const changing = await trained({ workers: [4, 2, 6], keepsLosses: true })
  t.is(changing.losses!.length, changing.steps)
  t.true(changing.loss! < changing.losses![0]!)
})

test('what a bad worker sends: noise as long as the layer that it replaces, or the opposite; others send what they have', (t) => {
  const computed = Float32Array.of(3, 4, 0.5, 0, 0, 0)
  const sent = (change: Partial<Cell>, worker = 0, progress = 0): Float32Array =>
    sentBy({ ...CELL, ...change }, worker, computed, [2, 4], progress)
  t.deepEqual([...sent({ badWorker: 'opposite' })], [-3, -4, -0.5, -0, -0, -0])
  const noise = sent({ badWorker: 'noise' })
  t.true(
    Math.abs(Math.hypot(noise[0]!, noise[1]!) - 5) < 1e-5 && Math.abs(Math.hypot(...noise.subarray(2)) - 0.5) < 1e-6,
  )
  t.notDeepEqual(noise, sent({ badWorker: 'noise' }, 0, 0.5))
  t.is(sent({ badWorker: 'noise' }, 1), computed)
  t.is(sent({}), computed)
})

test('operators over a whole matrix combine groups of 16 first', (t) => {
  const next = normalNumbers(5)
  const inputs = Array.from({ length: 32 }, () => Float32Array.from({ length: 6 }, next))
  const halves = [0, 16].map((begin) => combineLocally('adacons', inputs.slice(begin, begin + 16), [6]).result)
  t.deepEqual(combineLocally('adacons', inputs, [6]).result, combineLocally('adacons', halves, [6]).result)
  t.deepEqual(combineLocally('adasum', inputs, [6]).result, adasumSync(inputs).result)
})

test('on isotropic noise the logged step is the one that the predictions name, and so is the orthogonality', (t) => {
  const [next, size] = [normalNumbers(8), 4000]
  for (const x of [1 / 8, 1]) {
    const mean = Float32Array.from({ length: 2 * size }, next).map((value) => value * Math.sqrt(x))
    const inputs = Array.from({ length: 8 }, () => mean.map((value) => value + next()))
    const point = logPointOf(0, inputs, adasumSync(inputs, { segments: [size, size] }).result, [size, size])
    for (const layer of [0, 1]) {
      t.true(Math.abs(point.signal[layer]! / x - 1) < 0.15, `${point.signal[layer]} for ${x}`)
      t.true(Math.abs(point.step[layer]! / stepOf(8, x) - 1) < 0.05, `${point.step[layer]}`)
      const orthogonality = ((1 + x / 2) ** 2 * (1 + 8 * x)) / ((1 + 4 * x) ** 2 * (1 + x))
      t.true(Math.abs(point.orthogonality[layer]! / orthogonality - 1) < 0.08)
    }
  }
})

test('at a rate near 0 the sequence of steps is the sum, and an average is most of the way from it', async (t) => {
  const cell: Cell = { ...CELL, task: 'emulation', optimizer: 'sgd', workers: [2, 8], samples: 80, rate: 1e-4, decay: 'none' } // prettier-ignore
  const { emulation } = await emulate(cell, makePlain(), () => undefined)
  t.true(emulation!.length >= 10)
  for (const { workers, distance } of emulation!) {
    t.true(distance['sum']! < 0.01, `${distance['sum']}`)
    t.true(Math.abs(distance['average']! - (workers - 1) / workers) < 0.01)
    t.true(distance['adasum']! > 0.01 && distance['adasum']! < distance['average']!)
  }
})

test('a jump is the loss behind the last change less the one before it; NaN if the run did not come so far', (t) => {
  const cell = { workers: [4, 2], localBatch: 1, samples: 800 }
  const losses = [...Array<number>(299).fill(1), 2, ...Array<number>(200).fill(4)]
  const result = { losses, diverged: false } as unknown as Result
  const window = 9
  const rise = (of: Result, changing: Pick<Cell, 'workers' | 'localBatch' | 'samples'>): number =>
    jumpOf(windowsOf(of, changing))
  t.is(rise(result, { ...cell, workers: [4, 4] }), 0)
  t.is(rise({ ...result, losses: [...Array<number>(100).fill(1), ...Array<number>(200).fill(4)] }, cell), 3)
  t.is(rise({ ...result, diverged: true, losses: losses.slice(0, 100 + window - 1) }, cell), NaN)
})

test('tenths of a run have at least one step, and lie on both sides of the drop', (t) => {
  const log = (values: number[]): { progress: number; orthogonality: number[]; step: number[]; signal: number[] }[] =>
    values.map((value, index) => ({ progress: index / values.length, orthogonality: [value, value + 2], step: [], signal: [] })) // prettier-ignore
  t.deepEqual(orthogonalityOf(log([1, 2, 3, 4])), { first: 2, beforeDrop: 3, afterDrop: 4, last: 5 })
  const many = orthogonalityOf(log(Array.from({ length: 40 }, (_, index) => index)))
  t.deepEqual(many, { first: 2.5, beforeDrop: 18.5, afterDrop: 22.5, last: 38.5 })
  t.is(orthogonalityOf([]).last, NaN)
})
