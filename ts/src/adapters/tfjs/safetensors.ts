/**
 * The safetensors format: 8 bytes with the length of a JSON header, the header with dtype, shape and place of each
 * tensor, then the tensors' bytes, little-endian. Other tools can read such files; nothing in them can execute. The
 * `__metadata__` entry adds the order of the tensors and a SHA-256 over header entries and data, without which a file is
 * refused.
 */
import { createHash } from 'node:crypto'
import { AdasumError } from '../../errors.ts'
import type { WeightDtype } from './variables.ts'

export interface StoredTensor {
  name: string
  dtype: WeightDtype
  shape: readonly number[]
  /** Elements in row-major order, `byteLength` bytes of them. */
  bytes: Uint8Array
}

interface Entry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

const DTYPE_NAMES: Record<WeightDtype, string> = { float32: 'F32', int32: 'I32', bool: 'BOOL' }
const ITEM_BYTES: Record<WeightDtype, number> = { float32: 4, int32: 4, bool: 1 }
const LENGTH_BYTES = 8
/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000
const METADATA = '__metadata__'

export function encodeSafetensors(tensors: readonly StoredTensor[]): Uint8Array[] {
  let offset = 0
  const entries = tensors.map(({ name, dtype, shape, bytes }): [string, Entry] => {
    const begin = offset
    offset += bytes.byteLength
    return [name, { dtype: DTYPE_NAMES[dtype], shape: [...shape], data_offsets: [begin, offset] }]
  })
  const order = JSON.stringify(entries.map(([name]) => name))
  const data = tensors.map(({ bytes }) => bytes)
  const metadata = { format: 'adasum', order, sha256: checksum(entries, data) }
  const header = new TextEncoder().encode(JSON.stringify({ [METADATA]: metadata, ...Object.fromEntries(entries) }))
  // Spaces up to a multiple of 8, so that the data is aligned.
  const padded = new Uint8Array(Math.ceil(header.length / 8) * 8).fill(0x20)
  padded.set(header)
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true)
  return [length, padded, ...data]
}

/** @throws AdasumError ERR_ARGUMENT if the file is truncated, damaged or of another kind */
export function decodeSafetensors(file: Uint8Array, path: string): StoredTensor[] {
  const { header, data } = split(file, path)
  const metadata = header[METADATA] as Partial<Record<string, string>> | undefined
  const names = parseJson(metadata?.['order'] ?? '', path)
  if (!Array.isArray(names)) throw refused(path, 'its header lists no order of tensors')
  const entries = names.map((name): [string, Entry] => [String(name), checkedEntry(header[String(name)], data, path)])
  const sha256 = checksum(entries, [data])
  if (sha256 !== metadata?.['sha256'])
    throw refused(path, `its SHA-256 is ${sha256}, the header says ${String(metadata?.['sha256'])}`)
  return entries.map(([name, { dtype, shape, data_offsets }]) => ({
    name,
    dtype: dtypeOf(dtype)!,
    shape,
    bytes: new Uint8Array(data.subarray(...data_offsets)),
  }))
}

function split(file: Uint8Array, path: string): { header: Record<string, unknown>; data: Uint8Array } {
  if (file.byteLength < LENGTH_BYTES)
    throw refused(path, `it has ${file.byteLength} bytes, of at least ${LENGTH_BYTES}`)
  const length = Number(new DataView(file.buffer, file.byteOffset, LENGTH_BYTES).getBigUint64(0, true))
  const end = LENGTH_BYTES + length
  if (length > MAX_HEADER_BYTES || end > file.byteLength)
    throw refused(path, `its header ends at byte ${end}, the file has ${file.byteLength}`)
  const header = parseJson(new TextDecoder().decode(file.subarray(LENGTH_BYTES, end)), path)
  if (typeof header !== 'object' || header === null) throw refused(path, 'its header is not a JSON object')
  return { header: header as Record<string, unknown>, data: file.subarray(end) }
}

function checkedEntry(value: unknown, data: Uint8Array, path: string): Entry {
  const { dtype, shape, data_offsets: range } = (value ?? {}) as Partial<Entry>
  const known = dtypeOf(dtype)
  const isWhole = (number: unknown): boolean => Number.isSafeInteger(number) && (number as number) >= 0
  if (known === undefined || !Array.isArray(shape) || !Array.isArray(range) || ![...shape, ...range].every(isWhole))
    throw refused(path, 'an entry of its header is malformed')
  const byteLength = shape.reduce((product, size) => product * size, ITEM_BYTES[known])
  const [begin, end] = range
  if (range.length !== 2 || end - begin !== byteLength || end > data.byteLength)
    throw refused(path, `a tensor of ${byteLength} bytes lies at ${begin} to ${end} of ${data.byteLength} bytes`)
  return { dtype: dtype!, shape, data_offsets: [begin, end] }
}

function dtypeOf(name: unknown): WeightDtype | undefined {
  return (Object.keys(DTYPE_NAMES) as WeightDtype[]).find((dtype) => DTYPE_NAMES[dtype] === name)
}

function checksum(entries: [string, Entry][], data: readonly Uint8Array[]): string {
  const hash = createHash('sha256').update(JSON.stringify(entries))
  for (const bytes of data) hash.update(bytes)
  return hash.digest('hex')
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw refused(path, 'its header is not JSON', error)
  }
}

function refused(path: string, why: string, cause?: unknown): AdasumError {
  const message = `${path} is not a whole file of saveWeights(): ${why}. Use an undamaged one.`
  return new AdasumError('ERR_ARGUMENT', message, { cause })
}
