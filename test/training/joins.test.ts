/** Ranks that join where the others go on with a trainer: what is right gives the weights that `sampleCount: 0` gives, and what is not is refused. */
import test, { type ExecutionContext } from 'ava'
import type { AdasumError } from '../../ts/src/errors.ts'
import type { TrainerOptions } from '../../ts/src/training/trainer-options.ts'
import { fc, runsOf } from '../_property.ts'
import { failuresOf } from '../_world.ts'
import type { LinearModel } from './_linear-model.ts'
import { modelOf, momentumModel, onEach, type Replica, replicas, samplesOf, valuesOf } from './_replicas.ts'

/** Takes one batch of a rank, and returns the weights behind it. */
async function fit({ trainer, model, rank }: Replica, batch: number, sampleCount: number): Promise<string> {
  await trainer.train(() => ({ model, ...model.gradientsOn(samplesOf(rank, batch)), sampleCount }))
  return valuesOf(model).join()
}

async function join({ world, rank, model }: Replica, hasBroadcast = true): Promise<void> {
  const comm = world.ranks[rank]!
  const { lastRank } = await comm.join()
  if (hasBroadcast) for (const value of model.values) await comm.broadcast(value, { root: lastRank })
}

/** The batches of each rank in each epoch. All ranks have some in the first. */
type Counts = number[][]

/** What each rank has for weights behind each of its own batches, and behind each epoch. */
async function trained(
  t: ExecutionContext,
  {
    options,
    makeModel,
    counts,
    joins,
  }: { options: TrainerOptions; makeModel: () => LinearModel; counts: Counts; joins: boolean },
): Promise<string[][]> {
  const made = await replicas(t, counts[0]!.length, options, makeModel)
  const found = await onEach(made, async (replica) => {
    const seen: string[] = []
    for (const [epoch, batches] of counts.entries()) {
      const most = joins ? batches[replica.rank]! : Math.max(...batches)
      for (let batch = 0; batch < most; batch++) {
        const isOwn = batch < batches[replica.rank]!
        const weights = await fit(replica, 10 * epoch + batch, isOwn ? 3 + replica.rank : 0)
        if (isOwn) seen.push(weights)
      }
      if (joins) await join(replica)
      seen.push(valuesOf(replica.model).join())
    }
    return seen
  })
  await made[0]!.world.close()
  return found
}

const anyCounts = (unit: number): fc.Arbitrary<Counts> =>
  fc.integer({ min: 2, max: 4 }).chain((size) => {
    const epoch = (min: number): fc.Arbitrary<number[]> =>
      fc.array(fc.integer({ min, max: 3 }).map((count) => unit * count), { minLength: size, maxLength: size }) // prettier-ignore
    return fc.tuple(epoch(1), epoch(0), epoch(0))
  })

for (const [what, options, makeModel, unit] of [
  ['mode delta, average', { op: 'average' }, momentumModel, 1],
  ['mode delta, Adasum', { op: 'adasum' }, momentumModel, 1],
  ['mode delta, whole rounds of local steps', { op: 'adasum', localSteps: 2, accumulate: 2 }, momentumModel, 4],
  ['mode gradient, SGD', { op: 'adasum', mode: 'gradient' }, modelOf, 1],
  ['mode gradient, SGD, whole steps', { op: 'average', mode: 'gradient', accumulate: 2 }, modelOf, 2],
] as const)
  test(`${what}: a rank that joins is as one that goes along with sampleCount 0`, async (t) => {
    await fc.assert(
      fc.asyncProperty(anyCounts(unit), async (counts) => {
        const given = { options, makeModel: () => makeModel(), counts }
        t.deepEqual(await trained(t, { ...given, joins: true }), await trained(t, { ...given, joins: false }))
      }),
      { numRuns: runsOf(15) },
    )
    t.pass()
  })

/** All ranks get the same error from their next batch, and the world goes on. */
async function refused(t: ExecutionContext, made: readonly Replica[]): Promise<void> {
  for (const error of (await failuresOf(made.map((replica) => fit(replica, 7, 4)))) as AdasumError[]) {
    t.is(error.code, 'ERR_MISMATCH')
    t.regex(error.message, /^LinearTrainer: the fingerprint of the weights behind the last join is \d+ on rank 0 and \d+ on rank [12]\. Behind join\(\)/) // prettier-ignore
  }
  await onEach(made, ({ world, rank }) => world.ranks[rank]!.barrier())
}

/** Three ranks; rank 0 joins after its first batches, and the others after more of them. */
async function behindJoin(
  t: ExecutionContext,
  options: TrainerOptions,
  {
    makeModel = modelOf,
    counts = [1, 2, 3],
    hasBroadcast = true,
  }: { makeModel?: () => LinearModel; counts?: number[]; hasBroadcast?: boolean } = {},
): Promise<Replica[]> {
  const made = await replicas(t, 3, options, () => makeModel())
  await onEach(made, async (replica) => {
    for (let batch = 0; batch < counts[replica.rank]!; batch++) await fit(replica, batch, 4)
    await join(replica, hasBroadcast)
  })
  return made
}

for (const mode of ['delta', 'gradient'] as const)
  test(`mode ${mode}: ranks that go on with weights of their own behind a join are refused`, async (t) => {
    await refused(t, await behindJoin(t, { op: 'average', mode }, { hasBroadcast: false }))
  })

test('mode delta: a rank that has joined between two exchanges is refused', async (t) => {
  const made = await behindJoin(t, { op: 'adasum', localSteps: 2 }, { counts: [3, 4, 6] })
  // Rank 0 has a step pending already.
  await onEach(made.slice(1), (replica) => fit(replica, 6, 4))
  await refused(t, made)
})

test('mode gradient: moments that differ behind a join are refused at the next step but one', async (t) => {
  const made = await behindJoin(t, { op: 'average', mode: 'gradient' }, { makeModel: momentumModel })
  await onEach(made, (replica) => fit(replica, 5, 4))
  await refused(t, made)
})

test('ranks that have joined again do not hinder the others from checking', async (t) => {
  const made = await behindJoin(t, { op: 'average' }, { hasBroadcast: false })
  const [first, ...others] = made
  const again = join(first!, false)
  for (const error of (await failuresOf(others.map((replica) => fit(replica, 7, 4)))) as AdasumError[]) {
    t.is(error.code, 'ERR_MISMATCH')
    t.regex(error.message, /behind the last join is \d+ on rank 1 and \d+ on rank 2\./)
  }
  await Promise.all([again, ...others.map((replica) => join(replica, false))])
})

test('two exchanges behind a join are checked, and no others', async (t) => {
  const made = await behindJoin(t, { op: 'average' })
  const callsOf = (): number => made[0]!.world.ranks[0]!.metrics().calls.reduce((sum, { calls }) => sum + calls, 0)
  const counts: number[] = []
  for (let batch = 0; batch < 4; batch++) {
    const before = callsOf()
    await onEach(made, (replica) => fit(replica, batch, 4))
    counts.push(callsOf() - before)
  }
  t.deepEqual(counts, [2, 2, 1, 1])
})
