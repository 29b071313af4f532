/**
 * The safetensors format: 8 bytes with the length of a JSON header, the header with dtype, shape and location of each
 * tensor, then the tensors' bytes, little-endian. Other tools can read such files; nothing in them can execute. The
 * `__metadata__` entry adds the order of the tensors and a SHA-256 over header entries and data; files of other tools
 * have neither.
 */
import { createHash } from 'node:crypto'
import { AdasumError } from '../errors.ts'
import { displayText, FormatError, isWellFormed } from './json-reader.ts'
import { type Header, type HeaderEntry, METADATA, readHeader, readNames } from './safetensors-header.ts'

export interface StoredTensor {
  name: string
  /** As the format names it: `F32`. */
  dtype: string
  shape: readonly number[]
  /** Elements in row-major order, `byteLength` bytes of them. */
  bytes: Uint8Array
}

/** Where a file is read from. */
export interface ByteSource {
  readonly byteLength: number
  /** Fills `target` from this position on; rejects if there is less. */
  read(position: number, target: Uint8Array): Promise<void>
}

/** A file to be written. */
export interface EncodedFile {
  chunks: Uint8Array[]
  /** The checksum that stands in it, in hexadecimal digits. */
  sha256: string
}

export interface DecodedFile {
  /** In the order in which they were saved; without a checksum, in that of their bytes. */
  tensors: StoredTensor[]
  metadata: ReadonlyMap<string, string>
  /** The checksum, which has been checked. Undefined for a file of another tool. */
  sha256: string | undefined
}

/** The name in the metadata of the tool that wrote a file. */
const FORMAT = 'adasum'
/** What the metadata has from this package. */
export const OWN_METADATA = ['format', 'order', 'sha256'] as const
const LENGTH_BYTES = 8
/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000

/**
 * @param extra - metadata besides this package's own
 * @throws AdasumError ERR_ARGUMENT for names that the format cannot hold
 */
export function encodeSafetensors(
  tensors: readonly StoredTensor[],
  extra: Readonly<Record<string, string>> = {},
): EncodedFile {
  checkNames(tensors.map(({ name }) => name))
  let offset = 0
  const entries = tensors.map(({ name, dtype, shape, bytes }): StoredEntry => {
    const begin = offset
    offset += bytes.byteLength
    return [name, { dtype, shape, data_offsets: [begin, offset] }]
  })
  const order = JSON.stringify(entries.map(([name]) => name))
  const hash = createHash('sha256').update(JSON.stringify(entries))
  for (const { bytes } of tensors) hash.update(bytes)
  const sha256 = hash.digest('hex')
  const metadata = { format: FORMAT, order, sha256, ...extra }
  const header = encodeHeader([[METADATA, metadata], ...entries])
  return { chunks: [...header, ...tensors.map(({ bytes }) => bytes)], sha256 }
}

interface ParsedFile {
  header: Header
  /** First byte of the data in the file. */
  dataBegin: number
  /** The entries in the order in which they were saved. */
  order: readonly HeaderEntry[]
  sha256: string | undefined
}

/** A header's entry, with its fields in the order that the checksum is over. */
type StoredEntry = [name: string, entry: { dtype: string; shape: readonly number[]; data_offsets: [number, number] }]

function checkNames(names: readonly string[]): void {
  const seen = new Set<string>([METADATA])
  for (const name of names) {
    const why = !isWellFormed(name) ? 'is no Unicode text' : seen.has(name) ? 'is taken' : undefined
    if (why !== undefined)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `a tensor has the name ${displayText(name)}, which ${why}. Give it another.`,
      )
    seen.add(name)
  }
}

function encodeHeader(entries: readonly [string, object][]): [length: Uint8Array, header: Uint8Array] {
  // Not JSON of an object, which would sort names that are numbers, and treats __proto__ specially.
  const members = entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`)
  const header = new TextEncoder().encode(`{${members.join()}}`)
  if (header.length + LENGTH_BYTES > MAX_HEADER_BYTES)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `the names and shapes of the ${entries.length - 1} tensors take ${header.length} bytes, of at most ${MAX_HEADER_BYTES}. Use shorter names.`,
    )
  // Spaces up to a multiple of 8, so that the data is aligned.
  const padded = new Uint8Array(Math.ceil(header.length / 8) * 8).fill(0x20)
  padded.set(header)
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true)
  return [length, padded]
}

/**
 * @param names - the only tensors to be returned, if they are there; default: all
 * @throws FormatError for a file that is truncated, damaged or of another kind; AdasumError ERR_OUT_OF_MEMORY
 */
export async function decodeSafetensors(source: ByteSource, names?: ReadonlySet<string>): Promise<DecodedFile> {
  const { header, dataBegin } = await headerOf(source)
  const saved = readSaveMetadata(header)
  const { order, sha256 } = saved ?? { order: header.entries, sha256: undefined }
  return {
    tensors: await readTensors(source, { header, dataBegin, order, sha256 }, names),
    metadata: header.metadata,
    sha256,
  }
}

async function headerOf(source: ByteSource): Promise<{ header: Header; dataBegin: number }> {
  if (source.byteLength < LENGTH_BYTES)
    throw new FormatError(`it has ${source.byteLength} bytes, of at least ${LENGTH_BYTES}`)
  const length = new Uint8Array(LENGTH_BYTES)
  await source.read(0, length)
  const declared = new DataView(length.buffer).getBigUint64(0, true)
  if (declared > BigInt(MAX_HEADER_BYTES))
    throw new FormatError(`its header is to have ${declared} bytes, of at most ${MAX_HEADER_BYTES}`)
  const dataBegin = LENGTH_BYTES + Number(declared)
  if (dataBegin > source.byteLength)
    throw new FormatError(`its header is to end at byte ${dataBegin}, the file has ${source.byteLength}`)
  const bytes = new Uint8Array(dataBegin - LENGTH_BYTES)
  await source.read(LENGTH_BYTES, bytes)
  return { header: readHeader(textOf(bytes), source.byteLength - dataBegin), dataBegin }
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new FormatError('its header is not UTF-8')
  }
}

/** What this package adds to the format; undefined for a file of another tool. */
function readSaveMetadata({ entries, metadata }: Header): Pick<ParsedFile, 'order' | 'sha256'> | undefined {
  const [order, sha256] = [metadata.get('order'), metadata.get('sha256')]
  if (metadata.get('format') !== FORMAT || order === undefined || sha256 === undefined) return undefined
  const byName = new Map(entries.map((entry) => [entry.name, entry]))
  const ordered = readNames(order).map((name) => {
    const entry = byName.get(name)
    if (!byName.delete(name))
      throw new FormatError(`its order has ${displayText(name)}, of which there is no tensor left`)
    return entry!
  })
  if (byName.size > 0) throw new FormatError(`its order has ${ordered.length} tensors, its header ${entries.length}`)
  return { order: ordered, sha256 }
}

async function readTensors(
  source: ByteSource,
  { header, dataBegin, order, sha256 }: ParsedFile,
  names: ReadonlySet<string> | undefined,
): Promise<StoredTensor[]> {
  const isWanted = ({ name }: HeaderEntry): boolean => names === undefined || names.has(name)
  const stored = order.map(({ name, dtype, shape, begin, end }): StoredEntry => {
    return [name, { dtype, shape, data_offsets: [begin, end] }]
  })
  const hash = createHash('sha256').update(JSON.stringify(stored))
  const contents = new Map<HeaderEntry, Uint8Array>()
  for (const entry of header.entries) {
    // A checksum is over all of the data.
    if (sha256 === undefined && !isWanted(entry)) continue
    const bytes = allocate(entry)
    await source.read(dataBegin + entry.begin, bytes)
    hash.update(bytes)
    if (isWanted(entry)) contents.set(entry, bytes)
  }
  const actual = hash.digest('hex')
  if (sha256 !== undefined && actual !== sha256)
    throw new FormatError(`its SHA-256 is ${actual}, its header says ${displayText(sha256)}`)
  return order.filter(isWanted).map((entry) => {
    const { name, dtype, shape } = entry
    return { name, dtype, shape, bytes: contents.get(entry)! }
  })
}

function allocate({ name, begin, end }: HeaderEntry): Uint8Array {
  try {
    return new Uint8Array(end - begin)
  } catch (cause) {
    const message = `${displayText(name)} has ${end - begin} bytes, for which there is no memory. Use a machine with more.`
    throw new AdasumError('ERR_OUT_OF_MEMORY', message, { cause })
  }
}
