import { DEFAULT_TUNING, type Tuning, TUNING_BOUNDS } from '../ts/src/tuning.ts'
import { fc } from './_property.ts'

/** Numbers of every magnitude, the ends and the default oftener than others. */
function anyValue(name: keyof Tuning): fc.Arbitrary<number> {
  const [least, most] = TUNING_BOUNDS[name]
  const exponents = fc.double({ min: Math.log2(Math.max(1, least)), max: Math.log2(most), noNaN: true })
  const spread = exponents.map((exponent) => Math.min(most, Math.max(least, Math.round(2 ** exponent))))
  return fc.oneof(fc.constantFrom(least, most, DEFAULT_TUNING[name]), spread)
}

export const anyTuning: fc.Arbitrary<Tuning> = fc.record({
  directSize: anyValue('directSize'),
  directByteLength: anyValue('directByteLength'),
  streamByteLength: anyValue('streamByteLength'),
  scatterByteLength: anyValue('scatterByteLength'),
  writeByteLength: anyValue('writeByteLength'),
  offThreadByteLength: anyValue('offThreadByteLength'),
  connectionsPerPeer: fc.constantFrom(1, 1, 2, 3, 16),
})
