/** Loss scaling over plain arrays: when the scale changes, and that all ranks change it at the same step. */
import test, { type ExecutionContext } from 'ava'
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import type { LossScaleOptions } from '../../ts/src/training/loss-scale-options.ts'
import { LossScaler, type LossScaleState, type ScaledReduction } from '../../ts/src/training/loss-scaler.ts'
import type { AllReduceOptions, ReduceOp } from '../../ts/src/types.ts'
import { fc, runsOf } from '../_property.ts'
import { bitsOf, makeWorld, onAll, vectorOf } from '../_world.ts'
import { halvesOf, widened } from '../reduction/_half.ts'

const OPS: ReduceOp[] = ['adasum', 'sum', 'average']

async function worldOf(t: ExecutionContext, size: number): Promise<Communicator[]> {
  const world = await makeWorld(size)
  t.teardown(() => world.close())
  return world.ranks
}

const reductionOf = (...numbers: number[]): ScaledReduction => ({
  result: Float32Array.from(numbers),
  nonFiniteRanks: [],
})

/** The rule as PyTorch's GradScaler has it, with bounds. */
function scalesOf(verdicts: readonly boolean[], options: Required<LossScaleOptions>): number[] {
  let [scale, tracker] = [options.initialScale, 0]
  return verdicts.map((isGood) => {
    tracker = isGood ? tracker + 1 : 0
    if (!isGood) scale *= options.backoffFactor
    else if (tracker === options.growthInterval) [scale, tracker] = [scale * options.growthFactor, 0]
    scale = Math.min(options.maxScale, Math.max(options.minScale, scale))
    return scale
  })
}

test('the defaults are those of GradScaler', (t) => {
  const { settings, scale, skippedSteps } = new LossScaler()
  t.deepEqual(settings, {
    ...{ initialScale: 65_536, growthFactor: 2, backoffFactor: 0.5, growthInterval: 2000 },
    ...{ minScale: 2 ** -100, maxScale: 2 ** 100 },
  })
  t.deepEqual([scale, skippedSteps], [65_536, 0])
})

test('the scale falls at overflows and grows after enough good steps, within its bounds', (t) => {
  const exponent = (least: number, most: number) => fc.integer({ min: least, max: most }).map((n) => 2 ** n)
  const options = fc.record({
    ...{ initialScale: exponent(-2, 4), growthFactor: exponent(1, 3), backoffFactor: exponent(-3, -1) },
    ...{ growthInterval: fc.integer({ min: 1, max: 5 }), minScale: exponent(-6, -2), maxScale: exponent(4, 8) },
  })
  fc.assert(
    fc.property(options, fc.array(fc.boolean(), { maxLength: 60 }), fc.nat(60), (chosen, verdicts, pause) => {
      let scaler = new LossScaler(chosen)
      const scales = verdicts.map((isGood, step) => {
        if (step === pause) {
          // As a checkpoint has it.
          const saved = JSON.parse(JSON.stringify(scaler.state())) as LossScaleState
          scaler = new LossScaler(chosen)
          scaler.restore(saved)
        }
        t.is(scaler.check(reductionOf(1, isGood ? 2 : NaN)), isGood)
        scaler.update()
        return scaler.scale
      })
      t.deepEqual(scales, scalesOf(verdicts, chosen))
      t.is(scaler.skippedSteps, verdicts.filter((isGood) => !isGood).length)
    }),
    { numRuns: runsOf(100) },
  )
})

test('a number is a scale that stays, and skips all the same', (t) => {
  const scaler = new LossScaler(1024)
  for (const value of [1, Infinity, 2]) {
    t.is(scaler.unscale(reductionOf(value)), Number.isFinite(value))
    scaler.update()
    t.is(scaler.scale, 1024)
  }
  t.is(scaler.skippedSteps, 1)
})

test('several exchanges of a step have one verdict, and a step without any is refused', (t) => {
  const scaler = new LossScaler({ initialScale: 4, growthInterval: 1 })
  t.throws(() => scaler.update(), { code: 'ERR_NOT_READY' })
  const good = reductionOf(8)
  t.deepEqual([scaler.unscale(reductionOf(-Infinity)), scaler.unscale(good)], [false, true])
  t.deepEqual(good.result, Float32Array.of(2))
  scaler.update()
  t.is(scaler.scale, 2)
  t.throws(() => scaler.update(), { code: 'ERR_NOT_READY' })
  scaler.record(true)
  scaler.update()
  t.is(scaler.scale, 4)
})

test('a reduction is divided if the step may be taken, and is otherwise left as it is', (t) => {
  const scaler = new LossScaler(8)
  const named = { result: { a: Float32Array.of(8, 1), b: Float64Array.of(-16) }, nonFiniteRanks: [] as number[] }
  t.true(scaler.unscale(named))
  t.deepEqual(named.result, { a: Float32Array.of(1, 1 / 8), b: Float64Array.of(-2) })
  const leftOut = { ...named, nonFiniteRanks: [1] }
  t.false(scaler.unscale(leftOut))
  t.deepEqual(named.result, { a: Float32Array.of(1, 1 / 8), b: Float64Array.of(-2) })
})

for (const size of [1, 2, 3, 5])
  test(`${size} ranks: an overflow of one of them is skipped by all, and all have the same scale`, async (t) => {
    const ranks = await worldOf(t, size)
    for (const op of OPS) {
      for (const onNonFinite of ['skip', 'propagate'] as const) {
        const histories = await onAll(ranks, async (comm, rank) => {
          const scaler = new LossScaler({ growthInterval: 2 })
          const history: [boolean, number][] = []
          for (let step = 0; step < 6; step++) {
            const gradient = vectorOf(new Float32Array(50), rank).map((value) => value * scaler.scale)
            if (step === 3 && rank === size - 1) gradient[7] = [NaN, Infinity][step % 2]!
            const reduction = await comm.allReduce(gradient, { op, onNonFinite })
            history.push([scaler.unscale(reduction), scaler.scale])
            scaler.update()
          }
          return history
        })
        const [base, twice] = [2 ** 16, 2 ** 17]
        for (const history of histories)
          t.deepEqual(history, [[true, base], [true, base], [true, twice], [false, twice], [true, base], [true, base]], `${op}, ${onNonFinite}`) // prettier-ignore
      }
    }
  })

test('a gradient that overflows only in the exchange is skipped by all', async (t) => {
  const ranks = await worldOf(t, 3)
  const exchanges: [string, AllReduceOptions<Float32Array | Uint16Array>, number][] = [
    ['f16', { op: 'sum', dtype: 'f16' }, 40_000],
    ['f32', { op: 'sum' }, 2e38],
  ]
  for (const [dtype, options, value] of exchanges) {
    const verdicts = await onAll(ranks, async (comm) => {
      const scaler = new LossScaler()
      const data = dtype === 'f16' ? halvesOf('f16', [value, 1]) : Float32Array.of(value, 1)
      const { result, ...rest } = await comm.allReduce(data, { ...options, onNonFinite: 'skip' })
      const wide = result instanceof Uint16Array ? widened('f16', result) : result
      const isGood = scaler.unscale({ ...rest, result: wide })
      scaler.update()
      return [isGood, scaler.scale, rest.nonFiniteRanks.length]
    })
    for (const verdict of verdicts) t.deepEqual(verdict, [false, 2 ** 15, 0], dtype)
  }
})

test('scaled halves, exchanged and unscaled in f32, keep what would underflow without a scale', async (t) => {
  const ranks = await worldOf(t, 2)
  const tiny = 2 ** -30
  const results = await onAll(ranks, async (comm) => {
    const scaler = new LossScaler()
    const lost = halvesOf('f16', [tiny, 1])
    const kept = halvesOf('f16', [tiny * scaler.scale, 1])
    const out = new Float32Array(2)
    await comm.allReduce(lost, { op: 'average', dtype: 'f16' })
    t.true(scaler.unscale(await comm.allReduce(kept, { op: 'average', dtype: 'f16', out })))
    return [widened('f16', lost)[0], out[0]]
  })
  for (const result of results) t.deepEqual(result, [0, tiny])
})

test('dividing is exact where nothing underflows', (t) => {
  for (const scale of [2 ** -8, 1, 2 ** 16]) {
    const scaler = new LossScaler(scale)
    const values = vectorOf(new Float32Array(100), 1)
    const scaled = values.map((value) => value * scale)
    scaler.divide(scaled)
    t.is(bitsOf(scaled), bitsOf(values))
  }
})

test('what is no power of two, out of bounds or unknown is refused', (t) => {
  const refusals: [unknown, RegExp][] = [
    [1000, /^lossScale is 1000; it must be a power of two/],
    [0, /^lossScale is 0/],
    [-2, /^lossScale is -2/],
    [NaN, /^lossScale is NaN/],
    [Infinity, /^lossScale is Infinity/],
    [2 ** 53 - 1, /^lossScale is 9007199254740991/],
    ['auto', /^lossScale is auto; it must be 'dynamic'/],
    [null, /^lossScale is null/],
    [{ initialScale: 3 }, /^initialScale is 3/],
    [{ initialScale: 2 ** 101 }, /^initialScale is 2\.535.*from 2\^-100 to 2\^100/],
    [{ growthFactor: 1 }, /^growthFactor is 1; it must be a power of two from 2\^1 /],
    [{ backoffFactor: 1 }, /^backoffFactor is 1; .* to 2\^-1/],
    [{ growthInterval: 0 }, /^growthInterval is 0/],
    [{ minScale: 8, maxScale: 4 }, /^maxScale is 4; it must be a power of two from 2\^3/],
    [{ minScale: 2 ** 17 }, /^initialScale is 65536/],
    [{ factor: 2 }, /no option "factor"/],
  ]
  for (const [given, message] of refusals)
    t.throws(() => new LossScaler(given as LossScaleOptions), { code: 'ERR_ARGUMENT', message })
})

test('what is no reduction, no array or no state is refused, and changes nothing', (t) => {
  const scaler = new LossScaler({ minScale: 1 })
  const gradients: unknown[] = [undefined, 3, Promise.resolve(), { result: Float32Array.of(1) }]
  for (const given of gradients)
    t.throws(() => scaler.unscale(given as ScaledReduction), {
      code: 'ERR_ARGUMENT',
      message: /^the reduction must be/,
    })
  for (const result of [Uint16Array.of(1), [1], { a: Int32Array.of(1) }])
    t.throws(() => scaler.unscale({ result, nonFiniteRanks: [] } as unknown as ScaledReduction), {
      code: 'ERR_ARGUMENT',
    })
  t.throws(() => scaler.divide(halvesOf('bf16', [1]) as unknown as Float32Array), { message: /Let allReduce store halves/ }) // prettier-ignore
  t.throws(() => scaler.update(), { code: 'ERR_NOT_READY' })
  const state = scaler.state()
  const states: unknown[] = [undefined, 3, {}, { ...state, scale: 3 }, { ...state, scale: 0.5 }, { ...state, goodSteps: -1 }, { ...state, skippedSteps: 'x' }] // prettier-ignore
  for (const given of states) t.throws(() => scaler.restore(given as LossScaleState), { code: 'ERR_ARGUMENT' })
  t.deepEqual(scaler.state(), state)
})
