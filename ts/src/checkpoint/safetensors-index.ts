/** The index of a set of safetensors files: JSON whose `weight_map` names the file of each tensor. */
import { displayText, FormatError, JsonReader } from './json-reader.ts'
import type { ByteSource } from './safetensors.ts'

/** As for a header. */
const MAX_INDEX_BYTES = 100_000_000

/**
 * @returns the file of each tensor, by name
 * @throws FormatError
 */
export async function readIndex(source: ByteSource): Promise<Map<string, string>> {
  if (source.byteLength > MAX_INDEX_BYTES)
    throw new FormatError(`it has ${source.byteLength} bytes, of at most ${MAX_INDEX_BYTES}`)
  const bytes = new Uint8Array(source.byteLength)
  await source.read(0, bytes)
  const reader = new JsonReader(textOfIndex(bytes), 'it')
  let fileOf: Map<string, string> | undefined
  reader.object((name) => {
    if (name !== 'weight_map') return reader.skip()
    const files = (fileOf = new Map<string, string>())
    reader.object((tensor) => void files.set(tensor, plainFileName(reader.string())))
  })
  reader.end()
  if (fileOf === undefined) throw new FormatError('it has no weight_map')
  return fileOf
}

function textOfIndex(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new FormatError('it is not UTF-8')
  }
}

/** An index may name files of its own folder only, wherever it comes from. */
function plainFileName(name: string): string {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\\:\0]/.test(name)) return name
  throw new FormatError(`it names the file ${displayText(name)}, which is not one beside it`)
}
