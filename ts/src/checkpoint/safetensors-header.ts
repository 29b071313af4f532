/**
 * The header of a safetensors file, read as what anybody may have written:
 *
 *     {"__metadata__": {"key": "text", ...}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
 */
import { displayText, FormatError, JsonReader } from './json-reader.ts'

/** A tensor's entry. Offsets count bytes from the end of the header. */
export interface HeaderEntry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface Header {
  /** In the order of their bytes in the file. */
  readonly entries: readonly HeaderEntry[]
  readonly metadata: ReadonlyMap<string, string>
}

/** The name of the entry that is not a tensor's. */
export const METADATA = '__metadata__'
const FIELDS = ['dtype', 'shape', 'data_offsets'] as const

/** Bits an element, for every dtype of the format. */
export const DTYPE_BITS: ReadonlyMap<string, number> = new Map<string, number>([
  ...['F64', 'I64', 'U64', 'C64'].map((dtype) => [dtype, 64] as const),
  ...['F32', 'I32', 'U32'].map((dtype) => [dtype, 32] as const),
  ...['F16', 'BF16', 'I16', 'U16'].map((dtype) => [dtype, 16] as const),
  ...['F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'I8', 'U8', 'BOOL'].map((dtype) => [dtype, 8] as const),
  ...['F6_E2M3', 'F6_E3M2'].map((dtype) => [dtype, 6] as const),
  ['F4', 4],
])

/**
 * @param text - the header, decoded
 * @param dataByteLength - bytes that follow it in the file
 * @throws FormatError
 */
export function readHeader(text: string, dataByteLength: number): Header {
  if (!text.startsWith('{'))
    throw new FormatError(`its header begins with ${displayText(text.slice(0, 1))} instead of {`)
  const reader = new JsonReader(text, 'its header')
  const entries: HeaderEntry[] = []
  let metadata: ReadonlyMap<string, string> = new Map()
  reader.object((name) => {
    if (name === METADATA) metadata = readMetadata(reader)
    else entries.push(readEntry(reader, name))
  })
  reader.end()
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkLocations(entries, dataByteLength)
  return { entries, metadata }
}

/** A list of names as `JSON.stringify` writes it. @throws FormatError */
export function readNames(text: string): string[] {
  const reader = new JsonReader(text, 'its header')
  const names: string[] = []
  reader.array(() => names.push(reader.string()))
  reader.end()
  return names
}

function readMetadata(reader: JsonReader): Map<string, string> {
  const metadata = new Map<string, string>()
  reader.object((key) => void metadata.set(key, reader.string()))
  return metadata
}

function readEntry(reader: JsonReader, name: string): HeaderEntry {
  let dtype: string | undefined
  const [shape, offsets]: [number[], number[]] = [[], []]
  const seen = new Set<string>()
  reader.object((field) => {
    seen.add(field)
    if (field === 'dtype') dtype = reader.string()
    else if (field === 'shape') reader.array(() => shape.push(reader.integer()))
    else if (field === 'data_offsets') reader.array(() => offsets.push(reader.integer()))
    else
      throw new FormatError(
        `its entry for ${displayText(name)} has a field ${displayText(field)}, which the format does not know`,
      )
  })
  const missing = FIELDS.find((field) => !seen.has(field))
  if (missing !== undefined) throw new FormatError(`its entry for ${displayText(name)} has no ${missing}`)
  if (offsets.length !== 2)
    throw new FormatError(`its entry for ${displayText(name)} has ${offsets.length} data_offsets instead of 2`)
  const entry = { name, dtype: dtype!, shape, begin: offsets[0]!, end: offsets[1]! }
  checkSize(entry)
  return entry
}

function checkSize({ name, dtype, shape, begin, end }: HeaderEntry): void {
  const bits = DTYPE_BITS.get(dtype)
  if (bits === undefined)
    throw new FormatError(`its entry for ${displayText(name)} has the unknown dtype ${displayText(dtype)}`)
  const bitCount = bitCountOf(shape, bits)
  if (bitCount === BigInt(end - begin) * 8n) return
  const sizes = shape.length > 8 ? `${shape.slice(0, 8).join(', ')}, ...` : shape.join(', ')
  const needed = bitCount === undefined ? 'more than 2^64' : `${bitCount}`
  throw new FormatError(
    `${displayText(name)}, ${dtype}[${sizes}], has ${needed} bits and lies at bytes ${begin} to ${end}`,
  )
}

/**
 * How many bits a tensor has, without rounding. Undefined above 2^64: no file is so long, and a product of a million
 * sizes would take for ever.
 */
function bitCountOf(shape: readonly number[], bits: number): bigint | undefined {
  if (shape.includes(0)) return 0n
  let product = BigInt(bits)
  for (const size of shape) if ((product *= BigInt(size)) > 1n << 64n) return undefined
  return product
}

/** Checks that every byte belongs to one tensor. */
function checkLocations(entries: readonly HeaderEntry[], dataByteLength: number): void {
  let covered = 0
  for (const { name, begin, end } of entries) {
    if (begin < covered)
      throw new FormatError(`${displayText(name)} begins at byte ${begin}, the tensor before it ends at ${covered}`)
    if (begin > covered)
      throw new FormatError(`the bytes ${covered} to ${begin}, before ${displayText(name)}, belong to no tensor`)
    covered = end
  }
  if (covered !== dataByteLength)
    throw new FormatError(`its tensors end at byte ${covered} of the data, of which the file has ${dataByteLength}`)
}
