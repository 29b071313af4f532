import { inspect } from 'node:util'
import test from 'ava'
import { AdasumError } from '../ts/src/errors.ts'

test('an error shows what is known, and nothing else', (t) => {
  const bare = new AdasumError('ERR_ARGUMENT', 'too short: 3 of 4', { rank: undefined, cause: undefined })
  t.deepEqual(Object.keys(bare), ['code'])
  t.notRegex(inspect(bare), /undefined/)
  const placed = new AdasumError('ERR_PEER_LOST', 'rank 2 is gone', { peerRank: 2, cause: new Error('ECONNRESET') })
  t.deepEqual(Object.keys(placed), ['code', 'peerRank'])
  t.regex(
    inspect(placed),
    /^AdasumError \[ERR_PEER_LOST\]: rank 2 is gone\n[^]*peerRank: 2[^]*\[cause\]: Error: ECONNRESET/,
  )
})

test('an error of another copy of the package is one all the same, and other errors are none', async (t) => {
  const copy = '../ts/src/errors.ts?copy'
  const other = (await import(copy)) as { AdasumError: typeof AdasumError }
  t.not(other.AdasumError, AdasumError)
  t.true(new other.AdasumError('ERR_CLOSED', 'closed') instanceof AdasumError)
  for (const value of [new Error('ERR_CLOSED'), { code: 'ERR_CLOSED' }, null, undefined, 'ERR_CLOSED'])
    t.false((value as unknown) instanceof AdasumError)
})
