import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { adasumSync } from '../../ts/src/index.ts'
import {
  type GramMatrix,
  adascaleGain,
  adasumFactor,
  cosineMatrix,
  diversity,
  gradientNoise,
  noiseScale,
  orthogonality,
  sumOfGrams,
} from '../../ts/src/optim/index.ts'
import { fc, runsOf } from '../_property.ts'
import { type Vector, combined, dot, gramOf, noisyGradients, scaled } from './_gram.ts'

const near = (a: number, b: number, tolerance: number): boolean =>
  Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b))

const numbers = fc.double({ min: -4, max: 4, noNaN: true })
const vectorsOf = (count: fc.Arbitrary<number>) =>
  fc
    .tuple(count, fc.integer({ min: 1, max: 6 }))
    .chain(([n, length]) =>
      fc.array(fc.array(numbers, { minLength: length, maxLength: length }), { minLength: n, maxLength: n }),
    )
const vectors = vectorsOf(fc.integer({ min: 1, max: 6 }))
const samplesOf = (count: number) => fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: count, maxLength: count })

/** Variance and squared mean by their definitions, from the vectors. */
function naiveNoise(list: readonly Vector[], samples: readonly number[]) {
  const total = samples.reduce((sum, count) => sum + count, 0)
  const mean = combined(
    list,
    samples.map((count) => count / total),
  )
  const spread = list.reduce((sum, vector, i) => {
    const away = mean.map((value, at) => vector[at]! - value)
    return sum + samples[i]! * dot(away, away)
  }, 0)
  let [products, pairs] = [0, 0]
  for (const [i, a] of list.entries())
    for (const [j, b] of list.entries())
      if (i !== j) {
        products += samples[i]! * samples[j]! * dot(a, b)
        pairs += samples[i]! * samples[j]!
      }
  return { variance: spread / (list.length - 1), squaredMean: products / pairs, mean }
}

test('the numbers of a matrix are those of the vectors that it is of', (t) => {
  fc.assert(
    fc.property(vectors, fc.infiniteStream(numbers), (list, stream) => {
      const gram = gramOf(list)
      const coefficients = list.map(() => stream.next().value as number)
      const norms = list.map((vector) => Math.sqrt(dot(vector, vector)))
      const squaredNorms = norms.reduce((sum, norm) => sum + norm * norm, 0)
      const [result, sum] = [combined(list, coefficients), combined(list, new Float64Array(list.length).fill(1))]
      if (squaredNorms > 1e-100) {
        const error = 1e-12 * (1 + coefficients.reduce((most, c) => Math.max(most, c * c), 0))
        t.true(Math.abs(orthogonality(gram, coefficients) - dot(result, result) / squaredNorms) <= error)
        if (dot(sum, sum) > 1e-6 * squaredNorms) t.true(near(diversity(gram), squaredNorms / dot(sum, sum), 1e-8))
      }
      const cosines = cosineMatrix(gram)
      for (const [i, a] of list.entries())
        for (const [j, b] of list.entries()) {
          t.true(Math.abs(cosines[i]![j]!) <= 1)
          t.is(cosines[i]![j], cosines[j]![i])
          if (norms[i]! > 1e-100 && norms[j]! > 1e-100)
            t.true(Math.abs(cosines[i]![j]! - dot(a, b) / norms[i]! / norms[j]!) <= 1e-12)
          else t.is(Math.abs(cosines[i]![j]!), i === j && norms[i]! > 0 ? 1 : Math.abs(cosines[i]![j]!))
        }
    }),
    { numRuns: runsOf(300) },
  )
})

test('variance and squared mean are those of the definitions, with and without weights', (t) => {
  const cases = vectorsOf(fc.integer({ min: 2, max: 6 })).chain((list) =>
    fc.tuple(fc.constant(list), samplesOf(list.length)),
  )
  fc.assert(
    fc.property(cases, fc.boolean(), ([list, counts], isWeighted) => {
      const gram = gramOf(list)
      const samples = isWeighted ? counts : counts.map(() => 1)
      const found = gradientNoise(gram, isWeighted ? counts : undefined)!
      const { variance, squaredMean, mean } = naiveNoise(list, samples)
      const size = gram.reduce((most, row, i) => Math.max(most, row[i]!), 1e-200)
      const total = samples.reduce((sum, count) => sum + count, 0)
      t.true(Math.abs(found.variance - variance) <= 1e-12 * size * total)
      t.true(Math.abs(found.squaredMean - squaredMean) <= 1e-12 * size)
      t.is(found.inputCount, list.length)
      t.is(found.localBatch, total / list.length)
      // Without weights the formula of AdaScale says the same.
      if (!isWeighted) t.true(Math.abs(found.squaredMean - (dot(mean, mean) - variance / list.length)) <= 1e-12 * size)
    }),
    { numRuns: runsOf(300) },
  )
})

/** All numbers that do not depend on the length of the vectors. */
function ratiosOf(gram: GramMatrix, coefficients: readonly number[], weights?: readonly number[]): number[] {
  const noise = gradientNoise(gram, weights)
  const scale = noise ? noiseScale(noise) / noise.localBatch : 1
  const cosines = cosineMatrix(gram).flatMap((row) => [...row])
  const factors = [adascaleGain(scale, 8), adasumFactor(scale, 8)]
  return [orthogonality(gram, coefficients), diversity(gram), scale, ...factors, ...cosines]
}

test('scaling all vectors by a power of two changes no bit of any ratio', (t) => {
  const cases = vectors.chain((list) => fc.tuple(fc.constant(list), samplesOf(list.length)))
  fc.assert(
    fc.property(cases, fc.integer({ min: -350, max: 350 }), fc.boolean(), ([list, counts], exponent, isWeighted) => {
      // Products of long and of short vectors, but none that the smallest doubles would round.
      const gram = gramOf(list.map((vector) => vector.map((value) => (Math.abs(value) < 1e-20 ? 0 : value))))
      const weights = isWeighted ? counts : undefined
      const longer = ratiosOf(scaled(gram, 4 ** exponent), counts, weights)
      t.deepEqual(longer, ratiosOf(gram, counts, weights))
      t.true(longer.every((ratio) => ratio >= -1))
    }),
    { numRuns: runsOf(300) },
  )
})

test('the order of the inputs does not matter, but for rounding', (t) => {
  const cases = vectors.chain((list) =>
    fc.tuple(
      fc.constant(list),
      samplesOf(list.length),
      fc.shuffledSubarray([...list.keys()], { minLength: list.length }),
    ),
  )
  fc.assert(
    fc.property(cases, ([list, counts, order]) => {
      const [noise, shuffled] = [
        gradientNoise(gramOf(list), counts),
        gradientNoise(
          gramOf(order.map((i) => list[i]!)),
          order.map((i) => counts[i]!),
        ),
      ]
      t.is(noise === undefined, shuffled === undefined)
      if (!noise || !shuffled) return
      const size = gramOf(list).reduce((most, row, i) => Math.max(most, row[i]!), 0)
      t.true(Math.abs(noise.variance - shuffled.variance) <= 1e-12 * size * 6000)
      t.true(Math.abs(noise.squaredMean - shuffled.squaredMean) <= 1e-12 * size)
      const cosines = cosineMatrix(gramOf(list))
      const moved = cosineMatrix(gramOf(order.map((i) => list[i]!)))
      order.forEach((i, a) => order.forEach((j, b) => t.is(moved[a]![b], cosines[i]![j])))
    }),
    { numRuns: runsOf(200) },
  )
})

test('identical inputs have no noise, whatever their number, and no rounding says otherwise', (t) => {
  fc.assert(
    fc.property(fc.array(numbers, { minLength: 1, maxLength: 5 }), fc.integer({ min: 2, max: 16 }), (vector, n) => {
      const gram = gramOf(Array.from({ length: n }, () => vector))
      const noise = gradientNoise(gram)!
      t.is(noise.variance, 0)
      t.is(noiseScale(noise), 0)
      t.is(adascaleGain(noiseScale(noise), n), 1)
      t.is(adasumFactor(noiseScale(noise), n), 1)
      if (dot(vector, vector) > 1e-300) t.true(near(diversity(gram), 1 / n, 1e-14))
    }),
    { numRuns: runsOf(100) },
  )
})

test('orthogonal inputs show no mean: all is noise', (t) => {
  for (const n of [2, 3, 8, 16]) {
    const gram = gramOf(Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => (i === j ? 3 : 0))))
    const noise = gradientNoise(gram)!
    t.deepEqual([noise.variance, noise.squaredMean], [9, 0])
    t.is(noiseScale(noise), Infinity)
    t.is(adascaleGain(Infinity, n), n)
    t.is(adasumFactor(Infinity, n), n)
    t.is(diversity(gram), 1)
    t.is(orthogonality(gram, new Float64Array(n).fill(1)), 1)
  }
})

test('degenerate matrices: one input, zeros, opposed vectors, inputs left out, products near the ends of doubles', (t) => {
  t.is(gradientNoise([Float64Array.of(4)]), undefined)
  t.is(orthogonality([Float64Array.of(4)], [1]), 1)
  t.is(diversity([Float64Array.of(4)]), 1)

  const zeros = gramOf([[0], [0]])
  t.deepEqual([orthogonality(zeros, [1, 1]), diversity(zeros)], [1, 1])
  t.deepEqual(cosineMatrix(zeros), [Float64Array.of(0, 0), Float64Array.of(0, 0)])
  const nothing = gradientNoise(zeros)!
  t.deepEqual([nothing.variance, nothing.squaredMean, noiseScale(nothing)], [0, 0, 0])

  const opposed = gramOf([[1], [-1]])
  t.deepEqual([diversity(opposed), orthogonality(opposed, [0.5, 0.5])], [Infinity, 0])
  t.is(gradientNoise(opposed)!.squaredMean, -1)
  t.is(noiseScale(gradientNoise(opposed)!), Infinity)

  const rounded = [Float64Array.of(1, -1 - 2 ** -52), Float64Array.of(-1 - 2 ** -52, 1)]
  t.deepEqual([diversity(rounded), orthogonality(rounded, [1, 1])], [Infinity, 0])
  t.is(cosineMatrix(rounded)[0]![1], -1)

  const absent = [Float64Array.of(1, NaN, 2), Float64Array.of(NaN, NaN, NaN), Float64Array.of(2, NaN, 4)]
  const present = gramOf([[1], [2]])
  t.deepEqual(gradientNoise(absent), gradientNoise(present))
  t.deepEqual(gradientNoise(absent, [3, 9, 5]), gradientNoise(present, [3, 5]))
  t.deepEqual(gradientNoise(gramOf([[1], [7], [2]]), [3, 0, 5]), gradientNoise(present, [3, 5]))
  t.is(orthogonality(absent, [0.5, NaN, 0.5]), orthogonality(present, [0.5, 0.5]))
  t.deepEqual(cosineMatrix(absent), [
    Float64Array.of(1, NaN, 1),
    Float64Array.of(NaN, NaN, NaN),
    Float64Array.of(1, NaN, 1),
  ])
  t.is(diversity([Float64Array.of(Infinity, NaN), Float64Array.of(NaN, 4)]), 1)

  t.is(gradientNoise(present, [0, 5]), undefined)
  t.is(gradientNoise(present, [5e-324, 2 ** 53]), undefined)
  for (const size of [1e-300, 1e300]) {
    const gram = scaled(
      gramOf([
        [1, 0],
        [0.5, 0.5],
      ]),
      size,
    )
    t.is(noiseScale(gradientNoise(gram)!), 0.5)
    t.true(near(cosineMatrix(gram)[0]![1]!, Math.SQRT1_2, 1e-15))
  }
})

test('what is no noise has no scale', (t) => {
  for (const noise of [undefined, null, 3, {}, { variance: '1', squaredMean: 1 }, { variance: 1, squaredMean: NaN }])
    t.throws(() => noiseScale(noise as never), { instanceOf: AdasumError, code: 'ERR_ARGUMENT' })
})

test('the noise of synthetic gradients is found, by samples or by batches', (t) => {
  // 8 gradients of 20,000 elements: products of independent noise deviate from 0 by 1/sqrt(length) of their size.
  for (const variance of [1, 8, 64]) {
    const gram = gramOf(noisyGradients(new Array<number>(8).fill(1), variance, 20_000, 7))
    const noise = gradientNoise(gram)!
    t.true(near(noise.variance, variance, 0.02), `variance ${noise.variance} for ${variance}`)
    t.true(near(noiseScale(noise), variance, 0.1), `noise scale ${noiseScale(noise)} for ${variance}`)
    const gain = (8 * (1 + 1 / variance)) / (1 + 8 / variance)
    t.true(near(adascaleGain(noiseScale(noise), 8), gain, 0.05))

    const samples = [1, 2, 4, 8, 16, 32, 3, 5]
    const uneven = gradientNoise(gramOf(noisyGradients(samples, variance, 20_000, 3)), samples)!
    t.true(near(uneven.variance, variance, 0.02), `variance ${uneven.variance} for ${variance}`)
    t.true(near(noiseScale(uneven), variance, 0.1), `noise scale ${noiseScale(uneven)} for ${variance}`)
  }
})

test('Adasum steps as long as predicted, where gradients are equally noisy', (t) => {
  for (const [count, variance] of [
    [2, 1],
    [8, 4],
    [8, 32],
    [16, 16],
  ] as const) {
    const list = noisyGradients(new Array<number>(count).fill(1), variance, 20_000, 5)
    const { result } = adasumSync(list as Float64Array[])
    const average = combined(list, new Float64Array(count).fill(1 / count))
    const found = dot(result, average) / dot(average, average)
    const predicted = adasumFactor(noiseScale(gradientNoise(gramOf(list))!), count)
    t.true(near(found, predicted, 0.05), `${found} for ${predicted}, ${count} ranks, noise scale ${variance}`)
  }
})

test('the matrix of whole vectors is the sum of those of their segments', (t) => {
  const parts = [
    gramOf([
      [1, 2],
      [3, 4],
    ]),
    gramOf([[5], [6]]),
  ]
  const [first] = parts
  const before = first!.map((row) => row.slice())
  t.deepEqual(
    sumOfGrams(parts),
    gramOf([
      [1, 2, 5],
      [3, 4, 6],
    ]),
  )
  t.deepEqual(first, before)
  t.deepEqual(sumOfGrams([first!]), first)
})

test('gain and factor go from 1 to the number of ranks, and Adasum is AdaScale with the noise doubled', (t) => {
  const scale = fc.double({ min: 0, max: 1e300, noNaN: true })
  fc.assert(
    fc.property(scale, fc.integer({ min: 1, max: 1024 }), (noise, n) => {
      const [gain, factor] = [adascaleGain(noise, n), adasumFactor(noise, n)]
      t.true(gain >= 1 && gain <= factor && factor <= n)
      if (noise > 1e-3) t.true(near(gain, (n * (1 + 1 / noise)) / (1 + n / noise), 1e-12))
      t.true(near(factor, adascaleGain(2 * noise, n), 1e-12))
    }),
    { numRuns: runsOf(300) },
  )
})

test('arguments that are no matrix, and lists that do not fit, are refused', (t) => {
  const good = gramOf([[1], [2]])
  const refused = (call: () => unknown, message: RegExp): void => {
    t.throws(call, { code: 'ERR_ARGUMENT', message })
  }
  const any = (value: unknown) => value as GramMatrix
  for (const call of [gradientNoise, cosineMatrix, diversity, (g: GramMatrix) => orthogonality(g, [1, 1])]) {
    refused(() => call(any(undefined)), /gram must be a list of n rows of n numbers; got undefined/)
    refused(() => call([]), /got an empty list/)
    refused(() => call(any([1, 2])), /gram\[0\] must be a list of numbers/)
    refused(() => call([Float64Array.of(1, 2)]), /gram\[0\] has 2 numbers for 1 rows/)
    refused(() => call(any([['1']])), /gram\[0\]\[0\] is 1, a string; it must be a number/)
    refused(() => call([Float64Array.of(-1)]), /squared norm/)
    refused(() => call([Float64Array.of(1, NaN), Float64Array.of(NaN, 1)]), /gram\[0\]\[1\] is NaN/)
  }
  refused(() => orthogonality(good, [1]), /coefficients has 1 numbers for 2 inputs/)
  refused(() => orthogonality(good, [1, NaN]), /coefficients\[1\] is NaN/)
  refused(() => gradientNoise(good, [1]), /weights has 1 numbers for 2 inputs/)
  refused(() => gradientNoise(good, [1, -1]), /weights\[1\] is -1/)
  refused(() => sumOfGrams([]), /at least one Gram matrix/)
  refused(() => sumOfGrams([good, gramOf([[1]])]), /grams\[1\] is of 1 inputs, grams\[0\] of 2/)
  for (const scale of [-1, NaN, '1']) refused(() => adascaleGain(scale as number, 2), /scale is/)
  for (const count of [0, 1.5, NaN]) refused(() => adasumFactor(1, count), /rankCount is/)
})
