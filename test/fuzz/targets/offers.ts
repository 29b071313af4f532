/** Where a message lies in memory that two ranks share. */
import type { Location, Offer } from '../../../ts/src/shared-memory/offer.ts'
import { FRAME_KINDS, HEADER_BYTE_LENGTH } from '../../../ts/src/wire/frame.ts'
import { decodeOffer, encodeOffer, OFFER_BYTE_LENGTH } from '../../../ts/src/wire/offer.ts'
import { foreignRefusal, ensure, type Target } from '../_target.ts'
import { recordTraffic } from '../_traffic.ts'

const MADE_UP: Offer = {
  word: 3,
  generation: 70_000,
  items: [
    new Uint8Array([1, 2, 3]),
    { tag: new Uint8Array(16).fill(9), pid: 4711, fd: 17, segmentByteLength: 2 ** 33, offset: 64, byteLength: 4096 },
    new Uint8Array(0),
  ],
}

export const offers: Target = {
  name: 'offers',
  share: 20,
  largest: OFFER_BYTE_LENGTH,
  seeds: async () => {
    const { frames } = await recordTraffic()
    const real = frames.filter((frame) => frame[3] === FRAME_KINDS.offer && frame.length > HEADER_BYTE_LENGTH)
    return [encodeOffer(MADE_UP), ...real.map((frame) => frame.subarray(HEADER_BYTE_LENGTH))]
  },
  run(input) {
    let offer: Offer
    try {
      offer = decodeOffer(input)
    } catch (error) {
      return foreignRefusal(error)
    }
    ensure(Buffer.compare(encodeOffer(offer), input) === 0, 'it is written in other bytes than it was read from')
    for (const item of offer.items) {
      const bytes = ArrayBuffer.isView(item) ? item : item.tag
      ensure(bytes.buffer !== input.buffer, 'a part shares its memory with the frame, which is used again')
      if (!ArrayBuffer.isView(item)) checkLocation(item)
    }
    return true
  },
}

/** What is mapped and read there is for the borrower to check; but numbers are numbers of bytes. */
function checkLocation({ segmentByteLength, offset, byteLength }: Location): void {
  for (const count of [segmentByteLength, offset, byteLength])
    ensure(Number.isSafeInteger(count) && count >= 0, () => `a length or an offset of ${count}`)
}
