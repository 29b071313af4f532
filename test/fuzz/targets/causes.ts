/** Why a peer has ended a group, in the words of that peer. */
import { AdasumError } from '../../../ts/src/errors.ts'
import { bytesOfText } from '../../../ts/src/bytes.ts'
import { decodeCause, encodeCause, originOf } from '../../../ts/src/group/abort.ts'
import { ABORT_BYTE_LENGTH } from '../../../ts/src/wire/frame.ts'
import { foreignRefusal, ensure, type Target } from '../_target.ts'

const SIZE = 4

const CAUSES = [
  new AdasumError('ERR_PEER_LOST', 'rank 2 is gone', { rank: 1, peerRank: 2, peerAddress: '[::1]:7', sequence: 5 }),
  new AdasumError('ERR_ABORTED', 'a caller aborted', { rank: 3, operation: 'all-reduce', sequence: 2 ** 53 - 1 }),
]

export const causes: Target = {
  name: 'causes',
  share: 10,
  largest: ABORT_BYTE_LENGTH,
  seeds: () => CAUSES.map(encodeCause),
  words: ['"code":', '"ERR_AUTH"', '"rank":', '"message":', '\u009b2J', '\u202e', '\ud83d\ude00', String.raw`\ud83d`],
  run(input) {
    const cause = decodeCause([input.subarray(0, input.length >> 1), input.subarray(input.length >> 1)], {
      from: 1,
      size: SIZE,
    })
    // Whatever a peer says is an error of ours, in words that can be shown.
    foreignRefusal(cause)
    ensure((cause.rank ?? -1) >= 0 && cause.rank! < SIZE, () => `rank ${cause.rank} is none of ${SIZE}`)
    const bytes = encodeCause(cause)
    ensure(bytes.length <= ABORT_BYTE_LENGTH, () => `it is passed on in ${bytes.length} bytes`)
    const again = decodeCause([bytes], { from: 1, size: SIZE })
    ensure(again.code === cause.code && again.rank === cause.rank, 'it is passed on as another cause')
    const isWhole = bytes.length > bytesOfText(cause.message).length
    if (isWhole && again.message === cause.message)
      ensure(JSON.stringify(originOf(again)) === JSON.stringify(originOf(cause)), 'its origin changes on the way')
    return true
  },
}
