/** Bytes as text and numbers, without Node.js's own Buffer. */

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Bytes as hexadecimal digits: two per byte, in lower case. */
export function hexOf(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte]
  return text
}

/** @param text - of hexadecimal digits, an even number of them */
export function bytesOfHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
}

/** Text as UTF-8. */
export function bytesOfText(text: string): Uint8Array {
  return encoder.encode(text)
}

/** UTF-8 as text. Invalid bytes become U+FFFD. */
export function textOfBytes(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A view for reading and writing numbers, big-endian by default. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
