/** Files in the safetensors format, written as its description says and without the library. */
import { createHash } from 'node:crypto'

export interface Tensor {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

/** Eight bytes with the header's length, the header, the data. */
export function fileOf(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const file = new Uint8Array(8 + text.length + data.length)
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
  file.set(text, 8)
  file.set(data, 8 + text.length)
  return file
}

/** The members of a header in any number and order, equal names included, as JSON.stringify could not write them. */
export function headerOf(...members: [name: string, value: unknown][]): string {
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`
}

/** A file with all that saveWeights() adds, whether its tensors make sense or not. */
export function forged(tensors: [name: string, tensor: Tensor][], data: Uint8Array): Uint8Array {
  const sha256 = createHash('sha256').update(JSON.stringify(tensors)).update(data).digest('hex')
  const order = JSON.stringify(tensors.map(([name]) => name))
  return fileOf(headerOf(['__metadata__', { format: 'adasum', order, sha256 }], ...tensors), data)
}
