/** Gram matrices in what trainers report, and what a NoiseMeter makes of them. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { type NoiseEstimate, NoiseMeter } from '../../ts/src/optim/index.ts'
import type { StepReduction } from '../../ts/src/training/flat-exchange.ts'
import { ROOT, compile, runAdasum } from '../cli/_adasum.ts'
import { failuresOf } from '../_world.ts'
import { gramOf } from '../optim/_gram.ts'
import { FEATURES, RATE, fitBatch, modelOf, onEach, replicas, samplesOf } from './_replicas.ts'

compile()

/** The gradients of all ranks in their first step, a list a weight. */
function firstGradients(size: number): ArrayLike<number>[][] {
  const found = Array.from({ length: size }, (_, rank) => modelOf().gradientsOn(samplesOf(rank, 0)).gradients)
  return [0, 1].map((weight) => found.map((gradients) => gradients[weight]!))
}

for (const mode of ['gradient', 'delta'] as const)
  test(`mode ${mode}: matrices of what is exchanged, a weight each, the same on all ranks`, async (t) => {
    const given: StepReduction[][] = [[], [], []]
    const meters = given.map(() => new NoiseMeter())
    const made = await replicas(t, 3, (rank) => ({
      ...{ op: 'adasum', mode, gram: true },
      onReduction: (reduction) => {
        given[rank]!.push(reduction)
        t.true(meters[rank]!.observe(reduction))
      },
    }))
    await onEach(made, (replica) => fitBatch(replica, 0))
    const factor = mode === 'delta' ? RATE ** 2 : 1
    const want = firstGradients(3).map((list) => gramOf(list).map((row) => row.map((product) => product * factor)))
    for (const { trainer, rank } of made) {
      const { segments } = trainer.lastReduction!
      t.deepEqual(
        segments.map(({ elementCount }) => elementCount),
        [FEATURES, 1],
      )
      t.deepEqual(
        segments.map(({ gram }) => gram),
        want,
      )
      t.is(segments[0]!.coefficients!.length, 3)
      t.is(given[rank]![0], trainer.lastReduction)
    }
    for (let batch = 1; batch < 4; batch++) await onEach(made, (replica) => fitBatch(replica, batch))
    const [first, ...others] = meters.map((meter) => [meter.estimate(), meter.segments()])
    for (const other of others) t.deepEqual(other, first)
    t.is((first![0] as NoiseEstimate).stepCount, 4)
  })

test('without the option there are none', async (t) => {
  const made = await replicas(t, 2, { op: 'adasum' })
  await onEach(made, (replica) => fitBatch(replica, 0))
  for (const segment of made[0]!.trainer.lastReduction!.segments) {
    t.false('gram' in segment)
    t.false('coefficients' in segment)
  }
})

test('an operator without matrices is refused at once, and ranks that differ are told', async (t) => {
  await t.throwsAsync(replicas(t, 2, { op: 'average', gram: true }), {
    code: 'ERR_ARGUMENT',
    message: /gram is true, and op is average/,
  })
  await t.throwsAsync(replicas(t, 2, { op: 'adasum', gram: 1 as never }), {
    code: 'ERR_ARGUMENT',
    message: /gram is 1/,
  })
  const made = await replicas(t, 2, (rank) => ({ op: 'adasum', gram: rank === 1 }))
  const [error] = await failuresOf(made.map((replica) => fitBatch(replica, 0)))
  t.like(error, { code: 'ERR_MISMATCH' })
  t.regex(error!.message, /gram is absent on rank 0 and given on rank 1/)
})

for (const algorithm of ['direct', 'single-shot'])
  test.serial(`${algorithm}: processes with unequal gradients learn the same bits`, async (t) => {
    const program = fileURLToPath(new URL('_gram.mjs', import.meta.url))
    const { stdout } = await runAdasum(t, ['run', '-n', '3', program, algorithm], { cwd: ROOT })
    const lines = stdout.trim().split('\n')
    t.is(lines.length, 3, stdout)
    const found = lines.map((line) => JSON.parse(line.slice(line.indexOf('{'))) as { estimate: NoiseEstimate })
    for (const other of found) t.deepEqual(other, found[0])
    const { stepCount, rankCount, localBatch, noiseScale, gain, adasumFactor } = found[0]!.estimate
    t.deepEqual([stepCount, rankCount, localBatch], [5, 3, 16])
    t.true(noiseScale > 0 && gain > 1 && gain < adasumFactor && adasumFactor < 3)
  })
