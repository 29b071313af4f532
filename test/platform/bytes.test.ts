import test from 'ava'
import { bytesOfHex, bytesOfText, concatBytes, hexOf, textOfBytes, viewOf } from '../../ts/src/bytes.ts'
import { fc } from '../_property.ts'

test('bytes to text and back, as Node.js does it', (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.string({ unit: 'grapheme' }), (bytes, text) => {
      t.is(hexOf(bytes), Buffer.from(bytes).toString('hex'))
      t.deepEqual(bytesOfHex(hexOf(bytes)), bytes)
      t.deepEqual([...bytesOfText(text)], [...Buffer.from(text)])
      t.is(textOfBytes(bytes), new TextDecoder().decode(bytes))
      t.is(textOfBytes(bytesOfText(text)), text)
    }),
  )
})

test('one behind the other', (t) => {
  const parts = fc.array(fc.uint8Array())
  fc.assert(
    fc.property(parts, (all) =>
      t.deepEqual(
        [...concatBytes(all)],
        all.flatMap((part) => [...part]),
      ),
    ),
  )
})

test('a view begins where the bytes do', (t) => {
  const bytes = Uint8Array.of(9, 1, 2, 9).subarray(1, 3)
  t.is(viewOf(bytes).getUint16(0), 0x0102)
  t.is(viewOf(bytes).byteLength, 2)
})
