import test from 'ava'
import { fingerprint, fingerprintOfFloats } from '../../ts/src/optim/fingerprint.ts'
import { fc } from '../_property.ts'

test('a fingerprint is a safe integer, changes with any one word, and tells zeros of different lengths apart', (t) => {
  const words = fc.uint32Array({ minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(words, fc.nat(), fc.integer({ min: 1, max: 2 ** 32 - 1 }), (data, at, change) => {
      const changed = data.slice()
      changed[at % data.length]! ^= change
      return Number.isSafeInteger(fingerprint(data)) && fingerprint(data) !== fingerprint(changed)
    }),
  )
  t.not(fingerprint(new Uint32Array(3)), fingerprint(new Uint32Array(4)))
  t.not(fingerprintOfFloats(Float32Array.of(0)), fingerprintOfFloats(Float32Array.of(-0)))
  t.is(fingerprintOfFloats(new Float32Array(8).subarray(2, 4)), fingerprintOfFloats(new Float32Array(2)))
})
