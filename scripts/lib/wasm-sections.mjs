// The sections of a WebAssembly file: a byte that says which, the length, the content. One of kind 0 is custom: its content
// begins with a name, and nothing that runs depends on it.

const PREAMBLE_BYTES = 8

/**
 * @typedef {object} Section
 * @property {number} kind 10 is the code
 * @property {string} name of a custom one, otherwise empty
 * @property {Uint8Array} bytes all of it, the head included
 */

/**
 * @param {Uint8Array} file
 * @returns {Section[]}
 */
export function sectionsOf(file) {
  const sections = []
  for (let begin = PREAMBLE_BYTES; begin < file.length;) {
    const kind = file[begin] ?? 0
    const [byteLength, content] = readUnsigned(file, begin + 1)
    const end = content + byteLength
    if (end > file.length) throw new Error(`a section at byte ${begin} ends at ${end}, the file at ${file.length}`)
    sections.push({ kind, name: kind === 0 ? nameAt(file, content) : '', bytes: file.subarray(begin, end) })
    begin = end
  }
  return sections
}

/**
 * @param {Uint8Array} file
 * @param {readonly string[]} names of custom sections
 * @returns {Uint8Array} the file without them
 */
export function withoutCustomSections(file, names) {
  const kept = sectionsOf(file).filter(({ kind, name }) => kind !== 0 || !names.includes(name))
  return Buffer.concat([file.subarray(0, PREAMBLE_BYTES), ...kept.map(({ bytes }) => bytes)])
}

/** @param {Uint8Array} file @param {number} at */
function nameAt(file, at) {
  const [byteLength, begin] = readUnsigned(file, at)
  return new TextDecoder().decode(file.subarray(begin, begin + byteLength))
}

/**
 * @param {Uint8Array} file
 * @param {number} at
 * @returns {[value: number, end: number]}
 */
function readUnsigned(file, at) {
  let value = 0
  // Seven bits a byte, the lowest first, of a number below 2^32.
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = file[at++] ?? 0
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) break
  }
  return [value, at]
}
