/** Who dials whom in the tests of handshakes, unless they say otherwise: rank 1 of 4 dials rank 2. */
import type { AcceptIdentity, DialIdentity } from '../../ts/src/wire/handshake.ts'

export const runId: Uint8Array = new Uint8Array(16).fill(7)
export const dialler = (change: Partial<DialIdentity> = {}): DialIdentity => ({
  runId,
  rank: 1,
  size: 4,
  peerRank: 2,
  purpose: 'peer',
  secret: 's3cret',
  ...change,
})
export const acceptor = (change: Partial<AcceptIdentity> = {}): AcceptIdentity => ({
  runId,
  rank: 2,
  size: 4,
  purpose: 'peer',
  secret: 's3cret',
  nonces: new Set(),
  ...change,
})
