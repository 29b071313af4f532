/** Files of arrays. Choices: put the header's length right; the checksum. */
import { createHash } from 'node:crypto'
import { FormatError } from '../../../ts/src/checkpoint/json-reader.ts'
import {
  type ByteSource,
  type DecodedFile,
  decodeSafetensors,
  encodeSafetensors,
  OWN_METADATA,
  type StoredTensor,
} from '../../../ts/src/checkpoint/safetensors.ts'
import { DTYPE_BITS } from '../../../ts/src/checkpoint/safetensors-header.ts'
import { fileTensor, storedTensors } from '../../../ts/src/checkpoint/tensors.ts'
import { foreignRefusal, inputOf, ensure, type Target } from '../_target.ts'

const isFormatError = (error: unknown): boolean => error instanceof FormatError

/** A file in memory. */
export function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    byteLength: bytes.length,
    read: async (position, target) => {
      ensure(position + target.length <= bytes.length, 'it reads behind the end of the file')
      target.set(bytes.subarray(position, position + target.length))
    },
  }
}

const fileOf = (tensors: readonly StoredTensor[], metadata = {}): Uint8Array =>
  Buffer.concat(encodeSafetensors(tensors, metadata).chunks)

const OURS = fileOf(
  storedTensors({
    'layer/kernel': { data: new Float32Array([1, 2, 3, 4, 5, 6]), shape: [2, 3] },
    scalar: { data: new Uint16Array([0x3f80]), shape: [], dtype: 'BF16' },
    '7': new BigInt64Array([-1n]),
    empty: new Float64Array(0),
  }),
  { epoch: '3' },
)

function ofOtherTool(): Uint8Array {
  const header =
    '{"b":{"dtype":"F4","shape":[4],"data_offsets":[4,6]},"a":{"data_offsets":[0,4],"shape":[1,1],"dtype":"F32"},"__metadata__":{"format":"pt"}}'
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, Buffer.from(header), Buffer.from([0, 0, 128, 63, 0x12, 0x34])])
}

const HEADER_END = Buffer.from('}}')

/** The header ends with the last `}}` and the spaces behind it. */
function withLength(file: Buffer): Buffer {
  let end = file.lastIndexOf(HEADER_END) + HEADER_END.length
  while (file[end] === 0x20) end++
  if (file.length >= 8) file.writeBigUInt64LE(BigInt(Math.max(0, end - 8)))
  return file
}

/** The file with the checksum that a complaint about it names. */
async function withChecksum(file: Buffer): Promise<Buffer> {
  try {
    await decodeSafetensors(sourceOf(file))
  } catch (error) {
    const [actual, said] =
      /its SHA-256 is (\w{64}), its header says "(\w{64})"/.exec((error as Error).message)?.slice(1) ?? []
    const at = said === undefined ? -1 : file.indexOf(said)
    if (at >= 0) file.write(actual!, at)
  }
  return file
}

const digestOf = (tensors: readonly StoredTensor[]): string => {
  const hash = createHash('sha256')
  for (const { name, dtype, shape, bytes } of tensors) hash.update(JSON.stringify([name, dtype, shape])).update(bytes)
  return hash.digest('hex')
}

async function checkRoundTrip({ tensors, metadata }: DecodedFile): Promise<void> {
  const foreign = [...metadata].filter(([name]) => !(OWN_METADATA as readonly string[]).includes(name))
  const own = Object.fromEntries(foreign.filter(([name]) => name !== '__proto__'))
  const again = await decodeSafetensors(sourceOf(fileOf(tensors, own)))
  ensure(digestOf(again.tensors) === digestOf(tensors), 'the tensors change when they are written again')
  ensure(
    Object.entries(own).every(([name, text]) => again.metadata.get(name) === text),
    'its metadata changes',
  )
}

export const safetensors: Target = {
  name: 'safetensors',
  share: 10,
  largest: 4096,
  seeds: () => [OURS, ofOtherTool()].map((file) => inputOf([3], file)),
  words: [
    '"dtype":"F64"',
    '"F4"',
    '"BOOL"',
    '"shape":[',
    '"data_offsets":[',
    '__metadata__',
    '__proto__',
    '}}',
    '[0,0]',
    '\u009b',
  ],
  async run(input) {
    const [choices = 0] = input
    let file: Uint8Array = input.subarray(1)
    if (choices & 1) file = withLength(Buffer.from(file))
    if (choices & 2) file = await withChecksum(Buffer.from(file))
    let decoded: DecodedFile
    try {
      decoded = await decodeSafetensors(sourceOf(file))
    } catch (error) {
      return foreignRefusal(error, isFormatError)
    }
    const [all, length] = [file.length - 8, Number(Buffer.from(file).readBigUInt64LE())]
    const byteLength = decoded.tensors.reduce((total, { bytes }) => total + bytes.length, 0)
    ensure(byteLength === all - length, () => `its tensors have ${byteLength} bytes of ${all - length}`)
    // What callers get are arrays over these bytes.
    for (const tensor of decoded.tensors) {
      const { data } = fileTensor(tensor)
      const bitCount = tensor.shape.reduce((product, size) => product * size, DTYPE_BITS.get(tensor.dtype) ?? NaN)
      ensure(bitCount === 8 * tensor.bytes.length, () => `${tensor.shape.join()} of ${tensor.bytes.length} bytes`)
      ensure(data.byteLength === tensor.bytes.length, () => `${tensor.dtype} has ${data.byteLength} bytes as an array`)
    }
    await checkRoundTrip(decoded)
    return true
  },
}
