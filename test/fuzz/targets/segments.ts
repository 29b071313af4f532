/** The addon's shared memory, asked for what a peer's offer may name. Numbers of an input are little-endian. */
import { TAG_BYTE_LENGTH, type Segment } from '../../../ts/src/binding/shared-memory.ts'
import { loadNativeSharedMemory } from '../../../ts/src/binding/native-shared-memory.ts'
import { HAS_SHARED_MEMORY } from '../../../ts/src/shared-memory/shared-memory.ts'
import { refusal, ensure, type Target } from '../_target.ts'

const BYTE_LENGTH = 8192
const TAG = new Uint8Array(TAG_BYTE_LENGTH).fill(7)
const HEAD_BYTE_LENGTH = 24
const ONES = new Uint8Array(BYTE_LENGTH).fill(1)

interface Own {
  readonly segment: Segment
  readonly data: Uint8Array
}

let own: Own | undefined

function ownSegment(): Own {
  if (own === undefined) {
    const segment = loadNativeSharedMemory().createSegment(BYTE_LENGTH, TAG)
    own = { segment, data: new Uint8Array(segment.buffer()).fill(1) }
  }
  return own
}

/** Process, descriptor, length, word and generation; then the tag. */
function encode(pid: number, fd: number, byteLength: number, word: number, generation: number): Uint8Array {
  const bytes = Buffer.alloc(HEAD_BYTE_LENGTH + TAG_BYTE_LENGTH)
  bytes.writeUInt32LE(pid, 0)
  bytes.writeUInt32LE(fd, 4)
  bytes.writeDoubleLE(byteLength, 8)
  bytes.writeUInt32LE(word, 16)
  bytes.writeUInt32LE(generation, 20)
  bytes.set(TAG, HEAD_BYTE_LENGTH)
  return bytes
}

function checkWords(reader: Segment, { segment }: Own, word: number, generation: number): void {
  const isThere = word < segment.wordCount
  ensure(segment.publish(word, generation) === isThere, () => `word ${word} of ${segment.wordCount}`)
  ensure(reader.isPublished(word, generation) === isThere, 'what is published is not seen')
  ensure(reader.finish(word, generation) === isThere, 'what is published cannot be finished')
  ensure(!segment.withdraw(word, generation), 'what is finished is withdrawn')
}

export const segments: Target = {
  name: 'segments',
  share: HAS_SHARED_MEMORY ? 2 : 0,
  largest: HEAD_BYTE_LENGTH + TAG_BYTE_LENGTH + 8,
  seeds: () => {
    const { fd } = ownSegment().segment
    return [encode(0, fd, BYTE_LENGTH, 3, 5), encode(0, fd, BYTE_LENGTH, 0, 2 ** 30 - 1)]
  },
  run(input) {
    const mine = ownSegment()
    const bytes = Buffer.alloc(HEAD_BYTE_LENGTH)
    bytes.set(input.subarray(0, HEAD_BYTE_LENGTH))
    const [pid, fd, byteLength] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readDoubleLE(8)]
    const tag = input.subarray(HEAD_BYTE_LENGTH)
    let reader: Segment
    try {
      // Process 0 stands for this one, so that a corpus means the same in every process.
      reader = loadNativeSharedMemory().openSegment(pid === 0 ? process.pid : pid, fd, byteLength, tag)
    } catch (error) {
      // The contract promises an error, and no code: whoever opens a segment makes one of ours of it.
      return refusal(error, (found) => found instanceof Error && !(found instanceof RangeError))
    }
    const isMine = (pid === 0 || pid === process.pid) && fd === mine.segment.fd && byteLength === BYTE_LENGTH
    ensure(isMine && Buffer.compare(tag, TAG) === 0, 'it maps what nobody offers')
    checkWords(reader, mine, bytes.readUInt32LE(16), bytes.readUInt32LE(20) % 2 ** 30)
    ensure(Buffer.compare(mine.data, ONES) === 0, 'the data has changed')
    return true
  },
}
