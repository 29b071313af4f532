import test from 'ava'
import { randomBytes } from 'node:crypto'
import { apparentBits } from '../../ts/src/wire/secret-strength.ts'

test('random secrets of 128 bits are strong enough in every usual form', (t) => {
  for (let count = 0; count < 1000; count++) {
    const bytes = randomBytes(16)
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      const secret = bytes.toString(form)
      t.true(apparentBits(secret) >= 128, secret)
    }
    const longer = randomBytes(64).toString('hex')
    t.true(apparentBits(longer) >= 256, longer)
  }
})

test('what is short or repeats itself is weak, however long it is', (t) => {
  for (const secret of ['', 'k', 'correct horse', 'a'.repeat(100), 'abc'.repeat(100), '0123'.repeat(50)])
    t.true(apparentBits(secret) < 128, `${secret}: ${apparentBits(secret)}`)
  t.is(apparentBits('0123456789abcdef'), 64)
  t.is(apparentBits('ABCDEFGHIJKLMNOPQRSTUVWXYZ'), 26 * Math.log2(26))
})
