import test, { type ExecutionContext } from 'ava'
import { AdasumError, type ErrorCode } from '../../ts/src/errors.ts'
import { drawBelow, permutation, random32 } from '../../ts/src/training/random.ts'
import { type SamplerOptions, type SamplerState, sampler } from '../../ts/src/training/sampler.ts'
import { fc, runsOf } from '../_property.ts'

const ALONE = { rank: 0, size: 1 }
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index)
const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b)

/** What every rank of a world is dealt in one step, by samplers that go on from a state; undefined at an epoch's end. */
function stepOf(
  options: SamplerOptions,
  state: SamplerState | undefined,
  size: number,
): [number[][] | undefined, SamplerState] {
  const made = range(size).map((rank) => {
    const one = sampler({ rank, size }, { ...options, ...(state && { state: JSON.parse(JSON.stringify(state)) as SamplerState }) })
    const batch = one.next()
    return { batch: batch && [...batch], state: one.state() }
  }) // prettier-ignore
  const ends = new Set(made.map(({ batch }) => batch === undefined))
  if (ends.size > 1) throw new Error('ranks disagree on the end of an epoch')
  const states = new Set(made.map((one) => JSON.stringify(one.state)))
  if (states.size > 1) throw new Error(`ranks disagree on the state: ${[...states].join(' ')}`)
  return [ends.has(true) ? undefined : made.map(({ batch }) => batch!), made[0]!.state]
}

const histories = fc
  .record({
    count: fc.integer({ min: 1, max: 60 }),
    batch: fc.integer({ min: 1, max: 9 }),
    isGlobal: fc.boolean(),
    dropLast: fc.boolean(),
    shuffle: fc.boolean(),
    seed: fc.maxSafeNat(),
    sizes: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 12 }),
  })
  .filter(({ count, batch, isGlobal, dropLast, sizes }) => {
    return !dropLast || batch * (isGlobal ? 1 : Math.max(...sizes)) <= count
  })

test('whatever worlds an epoch passes through, each sample is taken exactly once, or at most once', (t) => {
  const check = ({ count, batch, isGlobal, dropLast, shuffle, seed, sizes }: (typeof histories extends fc.Arbitrary<infer T> ? T : never)) => {
    const options = { count, seed, shuffle, dropLast, ...(isGlobal ? { globalBatchSize: batch } : { batchSize: batch }) }
    let state: SamplerState | undefined
    for (let epoch = 0; epoch < 2; epoch++) {
      const taken: number[] = []
      for (let step = 0; ; step++) {
        const size = sizes[step % sizes.length]!
        const globalBatch = isGlobal ? batch : batch * size
        const [parts, after] = stepOf(options, state, size)
        state = after
        if (parts === undefined) {
          if (dropLast) t.true(count - taken.length < globalBatch)
          else t.is(taken.length, count)
          break
        }
        const lengths = parts.map(({ length }) => length)
        const all = parts.flat()
        t.is(all.length, Math.min(globalBatch, count - taken.length))
        t.true(Math.max(...lengths) - Math.min(...lengths) <= 1)
        if (dropLast && !isGlobal) t.true(lengths.every((length) => length === batch))
        taken.push(...all)
        t.is(state.position, taken.length)
      }
      t.deepEqual(state, { count, seed, shuffle, epoch: epoch + 1, position: 0 })
      t.is(new Set(taken).size, taken.length)
      if (!dropLast) t.deepEqual(sorted(taken), range(count))
      t.true(taken.every((index) => index >= 0 && index < count))
      if (!shuffle) t.deepEqual(taken, range(taken.length))
    }
  } // prettier-ignore
  fc.assert(fc.property(histories, check), { numRuns: runsOf(200) })
})

test('a global batch has the same samples whatever the number of ranks', (t) => {
  const options = { count: 53, globalBatchSize: 8, seed: 5, dropLast: false }
  const stepsOf = (size: number): number[][] => {
    const ranks = range(size).map((rank) => [...sampler({ rank, size }, options).batches()].map((batch) => [...batch]))
    return ranks[0]!.map((_, step) => ranks.flatMap((batches) => batches[step]!))
  }
  const alone = stepsOf(1)
  t.deepEqual(alone.map(({ length }) => length), [8, 8, 8, 8, 8, 8, 5]) // prettier-ignore
  for (const size of [2, 3, 8, 11]) t.deepEqual(stepsOf(size), alone)
})

const orderOf = (seed: number, epoch: number, count = 1000): number[] => {
  const state = { count, seed, shuffle: true, epoch, position: 0 }
  return [...sampler(ALONE, { count, batchSize: count, seed, state }).next()!]
}

test('one seed gives one order, another seed or epoch another', (t) => {
  const orders = [orderOf(1, 0), orderOf(1, 1), orderOf(2, 0), orderOf(1 + 2 ** 32, 0), orderOf(0, 1), orderOf(2 ** 53 - 1, 0)] // prettier-ignore
  t.is(new Set(orders.map(String)).size, orders.length)
  t.deepEqual(orderOf(1, 0), orders[0]!)
  // Two random orders have one place in common on average.
  for (const order of orders.slice(1)) t.true(order.filter((index, at) => orders[0]![at] === index).length < 12)
  for (const order of orders) t.deepEqual(sorted(order), range(1000))
})

/** sfc32 as its author describes it, on whole numbers without end. */
function sfc32(seed: bigint, stream: bigint): () => number {
  const word = (value: bigint): bigint => BigInt.asUintN(32, value)
  let [a, b, c, counter] = [word(seed), word(seed >> 32n), word(stream), 1n]
  const next = (): number => {
    const result = word(a + b + counter)
    counter = word(counter + 1n)
    a = b ^ (b >> 9n)
    b = word(c + (c << 3n))
    c = word(((c << 21n) | (c >> 11n)) + result)
    return Number(result)
  }
  for (let i = 0; i < 20; i++) next()
  return next
}

test('the generator is sfc32', (t) => {
  const check = (seed: number, stream: number): void => {
    const [mine, theirs] = [random32(seed, stream), sfc32(BigInt(seed), BigInt(stream))]
    for (let i = 0; i < 100; i++) t.is(mine(), theirs())
  }
  fc.assert(fc.property(fc.maxSafeNat(), fc.nat({ max: 2 ** 32 - 1 }), check))
})

test('orders stay what they are from version to version', (t) => {
  t.deepEqual(orderOf(0, 0, 12), ORDERS[0])
  t.deepEqual(orderOf(42, 3, 12), ORDERS[1])
})

test('every order is equally likely', (t) => {
  const counts = new Map<string, number>()
  const random = random32(7, 0)
  for (let i = 0; i < 24_000; i++) {
    const order = String(permutation(4, random))
    counts.set(order, (counts.get(order) ?? 0) + 1)
  }
  t.is(counts.size, 24)
  // 1,000 of each are expected; their standard deviation is 31.
  for (const count of counts.values()) t.true(Math.abs(count - 1000) < 160, String(count))
})

test('numbers that do not fit the bound are drawn again', (t) => {
  const drawn = [2 ** 32 - 1, 2 ** 32 - 2, 5]
  t.is(drawBelow(() => drawn.shift()!, 3), 2) // prettier-ignore
  t.deepEqual(drawn, [5])
})

test('a loop that is left goes on, the next epoch follows by itself, and a state undoes a step', (t) => {
  const one = sampler(ALONE, { count: 10, batchSize: 3, seed: 1, dropLast: false })
  t.is(one.stepsPerEpoch, 4)
  const whole = orderOf(1, 0, 10)
  const seen: number[] = []
  for (const batch of one.batches()) {
    seen.push(...batch)
    if (seen.length === 6) break
  }
  t.is(one.position, 6)
  const before = one.state()
  const third = one.next()!
  one.restore(before)
  t.deepEqual(one.next(), third)
  for (const batch of [third, ...one.batches()]) seen.push(...batch)
  t.deepEqual(seen, whole)
  t.deepEqual([one.epoch, one.position], [1, 0])
  t.deepEqual([...one.batches()].flatMap((batch) => [...batch]), orderOf(1, 1, 10)) // prettier-ignore
  t.is(one.epoch, 2)
})

test('batches are copies', (t) => {
  const one = sampler(ALONE, { count: 4, batchSize: 4 })
  const before = one.state()
  one.next()!.fill(9)
  one.restore(before)
  t.deepEqual(sorted([...one.next()!]), [0, 1, 2, 3])
})

test('the place is read at each step, and may be another one for a step', (t) => {
  const place = { rank: 0, size: 1 }
  const one = sampler(place, { count: 20, batchSize: 2, shuffle: false })
  t.deepEqual([...one.next()!], [0, 1])
  Object.assign(place, { rank: 1, size: 2 })
  t.deepEqual([...one.next()!], [4, 5])
  t.deepEqual([...one.next({ rank: 2, size: 3 })!], [10, 11])
  t.is(one.position, 12)
})

const GOOD: SamplerOptions = { count: 10, batchSize: 2 }
const STATE: SamplerState = { count: 10, seed: 0, shuffle: true, epoch: 0, position: 4 }
const REFUSED: [what: string, options: unknown, code: ErrorCode, message: RegExp][] = [
  ['no options', undefined, 'ERR_ARGUMENT', /options must be an object/],
  ['no count', { batchSize: 1 }, 'ERR_ARGUMENT', /count is undefined; it must be a whole number from 1/],
  ['count 0', { ...GOOD, count: 0 }, 'ERR_ARGUMENT', /count is 0/],
  ['too many', { ...GOOD, count: 2 ** 31 }, 'ERR_ARGUMENT', /count is 2147483648/],
  ['no batch', { count: 10 }, 'ERR_ARGUMENT', /neither of batchSize and globalBatchSize/],
  ['both', { ...GOOD, globalBatchSize: 2 }, 'ERR_ARGUMENT', /both of batchSize and globalBatchSize/],
  ['half a sample', { ...GOOD, batchSize: 0.5 }, 'ERR_ARGUMENT', /batchSize is 0\.5/],
  ['no samples', { count: 10, globalBatchSize: 0 }, 'ERR_ARGUMENT', /globalBatchSize is 0/],
  ['a negative seed', { ...GOOD, seed: -1 }, 'ERR_ARGUMENT', /seed is -1/],
  ['a seed that is text', { ...GOOD, seed: '1' }, 'ERR_ARGUMENT', /seed is 1; it must be a whole number/],
  ['dropLast 1', { ...GOOD, dropLast: 1 }, 'ERR_ARGUMENT', /dropLast is 1; it must be true or false/],
  ['a misspelt option', { ...GOOD, batchsize: 1 }, 'ERR_ARGUMENT', /no option "batchsize"/],
  ['a batch that is never full', { ...GOOD, batchSize: 11 }, 'ERR_ARGUMENT', /a global batch has 11 samples, the data set 10/],
  ['a state of another data set', { ...GOOD, state: { ...STATE, count: 11 } }, 'ERR_MISMATCH', /with count 11, this sampler has count 10/],
  ['of another seed', { ...GOOD, state: { ...STATE, seed: 1 } }, 'ERR_MISMATCH', /with seed 1, this sampler has seed 0/],
  ['of another kind', { ...GOOD, state: { ...STATE, shuffle: false } }, 'ERR_MISMATCH', /with shuffle false, this sampler has shuffle true/],
  ['of nothing', { ...GOOD, state: {} }, 'ERR_MISMATCH', /with count undefined/],
  ['null', { ...GOOD, state: null }, 'ERR_ARGUMENT', /state must be what state\(\) gave; got null/],
  ['a position behind the end', { ...GOOD, state: { ...STATE, position: 11 } }, 'ERR_ARGUMENT', /state\.position is 11/],
  ['a position between samples', { ...GOOD, state: { ...STATE, position: 1.5 } }, 'ERR_ARGUMENT', /state\.position is 1\.5/],
  ['an epoch before the first', { ...GOOD, state: { ...STATE, epoch: -1 } }, 'ERR_ARGUMENT', /state\.epoch is -1/],
] // prettier-ignore

for (const [what, options, code, message] of REFUSED) {
  test(`options are checked: ${what}`, (t) => {
    const error = t.throws(() => sampler(ALONE, options as SamplerOptions))
    t.true(error instanceof AdasumError)
    t.is((error as AdasumError).code, code)
    t.regex(error.message, message)
  })
}

const refusesPlace = (t: ExecutionContext, place: unknown, message: RegExp): void => {
  t.throws(() => sampler(place as typeof ALONE, GOOD), { code: 'ERR_ARGUMENT', message })
  const one = sampler(ALONE, GOOD)
  if (place !== undefined) t.throws(() => one.next(place as typeof ALONE), { code: 'ERR_ARGUMENT', message })
  t.is(one.position, 0)
}

test('places are checked', (t) => {
  refusesPlace(t, undefined, /got undefined/)
  refusesPlace(t, Promise.resolve(ALONE), /got an object of type Promise/)
  refusesPlace(t, { rank: 2, size: 2 }, /got rank 2 of 2/)
  refusesPlace(t, { rank: -1, size: 2 }, /got rank -1 of 2/)
  refusesPlace(t, { rank: 0, size: 1.5 }, /got rank 0 of 1\.5/)
})

test('a state that is refused changes nothing', (t) => {
  const one = sampler(ALONE, GOOD)
  one.next()
  t.throws(() => one.restore({ ...STATE, epoch: 3, position: 99 }), { code: 'ERR_ARGUMENT' })
  t.deepEqual([one.epoch, one.position], [0, 2])
})

/** The orders of seed 0, epoch 0, and of seed 42, epoch 3, with 12 samples. */
const ORDERS: number[][] = [[10,9,8,0,2,6,3,7,5,1,11,4], [6,3,10,11,1,7,0,8,4,2,5,9]] // prettier-ignore
