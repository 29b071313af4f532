/**
 * Copies the arguments of a call into the memory of a WebAssembly module, and the results back.
 *
 * Arrays that overlap are copied together and keep their distances, and every array keeps its alignment. So the core,
 * which alone checks lengths, overlap and alignment, sees what the caller passed. An array that lies in the module's
 * own memory is used where it is.
 *
 * For every array two words are written to that memory, its address and its byte length; for a list they are the
 * address of its first array's two words, and the number of arrays. The call passes the address of the two words
 * (crates/adasum-wasm).
 */
import { AdasumError } from '../errors.ts'
import { OP_CODES } from './binding.ts'
import { isDetached, isShared, typedArrayName } from './typed-array.ts'

/**
 * The kinds of arguments that are arrays. `Out` means that the call writes the array, which is then copied back.
 * Doubles are copied in, too, since the call may leave some as they are; bytes only if they are `InOut`. In a
 * `reducedOut` adasum writes only the `pieces` that cover their segments.
 */
const ARRAYS = {
  bytes: { name: 'Uint8Array', isRead: true, isWritten: false },
  bytesOut: { name: 'Uint8Array', isRead: false, isWritten: true },
  bytesInOut: { name: 'Uint8Array', isRead: true, isWritten: true },
  reducedOut: { name: 'Uint8Array', isRead: false, isWritten: true },
  doubles: { name: 'Float64Array', isRead: true, isWritten: false },
  pieces: { name: 'Float64Array', isRead: true, isWritten: false },
  doublesOut: { name: 'Float64Array', isRead: true, isWritten: true },
} as const

type ArrayKind = keyof typeof ARRAYS
/** The kind of an argument; a list is one of `bytes`. */
export type Kind = 'number' | 'list' | ArrayKind

/** The memory of a module. Its buffer is another one after it has grown. */
export interface Room {
  /** Reserves so many bytes at a multiple of 16. Returns their address, or 0 if there is not so much memory. */
  readonly reserve: (byteLength: number) => number
  readonly memory: { readonly buffer: ArrayBuffer }
}

type Bytes = Uint8Array | Float64Array

/** A range of one buffer that is copied as a whole: an array, or several that overlap. */
interface Region {
  readonly buffer: ArrayBufferLike
  readonly begin: number
  end: number
  /** Whether anything in it is read. */
  isRead: boolean
  /** Whether it lies in the module's memory already. */
  isOwn: boolean
  /** Address of its first byte in the module's memory. */
  address: number
}

/** An array of the call. Its offset and length are noted, since a view of memory that grows loses them. */
interface Passed {
  readonly array: Bytes
  readonly begin: number
  readonly byteLength: number
  readonly isRead: boolean
  region: Region | undefined
}

/** Most arrays of a list; the core has the same limit for inputs. */
const MOST_INPUTS = 4096
/** An array begins as many bytes after a multiple of this as it does in its own buffer. */
const ALIGNMENT = 16
const WORD_BYTES = 4
const PAIR_BYTES = 2 * WORD_BYTES
/** Addresses have 32 bits. */
const MEMORY_BYTES = 2 ** 32

function refuse(what: string): never {
  throw new AdasumError('ERR_ARGUMENT', `an argument ${what}.`)
}

/** One call's arguments. The reserved memory belongs to them until those of the next call are copied into it. */
export class WasmArguments {
  readonly #kinds: readonly Kind[]
  readonly #args: readonly unknown[]
  /** The arrays of each argument. */
  readonly #arrays: readonly (readonly Passed[])[]

  /**
   * @throws AdasumError ERR_ARGUMENT for what is not of its kind, has been detached, or is shared with other threads
   */
  constructor(kinds: readonly Kind[], args: readonly unknown[]) {
    this.#kinds = kinds
    // Reading a list may run a getter, which could detach an array that has been looked at: so first all elements.
    this.#args = kinds.map((kind, i) => (kind === 'list' ? elementsOf(args[i]) : args[i]))
    this.#arrays = kinds.map((kind, i) => passedArrays(kind, this.#args[i]))
  }

  /** Copies the arrays into the module's memory. Returns the numbers to pass for the arguments. */
  copyInto(room: Room): number[] {
    const all = this.#arrays.flat()
    const regions = regionsOf(all, room.memory.buffer)
    const listCount = this.#kinds.filter((kind) => kind === 'list').length
    let byteLength = (all.length + listCount) * PAIR_BYTES
    for (const region of regions) {
      if (region.isOwn) continue
      region.address = Math.ceil(byteLength / ALIGNMENT) * ALIGNMENT + (region.begin % ALIGNMENT)
      byteLength = region.address + region.end - region.begin
    }
    const base = byteLength < MEMORY_BYTES ? room.reserve(byteLength) : 0
    if (base === 0) throw tooLarge(byteLength)
    // The view is made only now, since the memory may have grown.
    const memory = new Uint8Array(room.memory.buffer)
    for (const region of regions) {
      if (region.isOwn) continue
      region.address += base
      if (!region.isRead) continue
      memory.set(new Uint8Array(region.buffer, region.begin, region.end - region.begin), region.address)
    }
    return this.#writePairs(new Uint32Array(memory.buffer, base, (all.length + listCount) * 2), base)
  }

  #writePairs(words: Uint32Array, base: number): number[] {
    let at = 0
    const write = (address: number, length: number): number => {
      words[at] = address
      words[at + 1] = length
      at += 2
      return base + (at - 2) * WORD_BYTES
    }
    return this.#kinds.map((kind, i) => {
      if (kind === 'number') return this.#args[i] as number
      const arrays = this.#arrays[i]!
      const pairs = arrays.map((passed) => write(addressOf(passed), passed.byteLength))
      return kind === 'list' ? write(pairs[0] ?? base, pairs.length) : pairs[0]!
    })
  }

  /** Copies the results back; the memory may have grown since. */
  takeResults({ memory: { buffer } }: Room): void {
    const memory = new Uint8Array(buffer)
    // All ranges are computed before anything is written: a caller's tables may lie where results go.
    const written = this.#kinds.flatMap((kind, i) =>
      isWritten(kind) ? this.#rangesOf(kind, this.#arrays[i]![0]!) : [],
    )
    for (const { passed, begin, end } of written) {
      if (!passed.region || passed.region.isOwn) continue
      const address = addressOf(passed)
      new Uint8Array(passed.array.buffer, passed.begin).set(memory.subarray(address + begin, address + end), begin)
    }
  }

  #rangesOf(kind: Kind, passed: Passed): { passed: Passed; begin: number; end: number }[] {
    const isWhole = kind !== 'reducedOut' || this.#args[0] !== OP_CODES.adasum
    if (isWhole) return [{ passed, begin: 0, end: passed.byteLength }]
    const pieces = this.#args[this.#kinds.indexOf('pieces')] as Float64Array
    return wholePieces(pieces, passed.byteLength).map((range) => ({ passed, ...range }))
  }
}

function isWritten(kind: Kind): boolean {
  return kind !== 'number' && kind !== 'list' && ARRAYS[kind].isWritten
}

function elementsOf(list: unknown): unknown[] {
  if (!Array.isArray(list)) refuse('is no array where a list is expected. Pass an array of Uint8Arrays')
  if (list.length > MOST_INPUTS)
    refuse(`has more entries than can be reduced at once, ${MOST_INPUTS}. Reduce in groups`)
  return Array.from(list as unknown[])
}

function passedArrays(kind: Kind, value: unknown): Passed[] {
  if (kind === 'number') {
    if (typeof value !== 'number') refuse(`is a ${typeof value} where a number is expected. Pass a number`)
    return []
  }
  if (kind === 'list') return (value as unknown[]).map((element) => passedArray('bytes', element))
  return [passedArray(kind, value)]
}

function passedArray(kind: ArrayKind, value: unknown): Passed {
  if (typedArrayName(value) !== ARRAYS[kind].name)
    refuse('is no Uint8Array or Float64Array where one is expected. Pass the kind that the contract names')
  const array = value as Bytes
  if (isShared(array)) refuse('lies in shared memory, which others may write meanwhile. Copy it into an ArrayBuffer')
  if (isDetached(array))
    refuse('has been detached: its memory was transferred. Pass an array that still has its memory')
  const { isRead } = ARRAYS[kind]
  return { array, begin: array.byteOffset, byteLength: array.byteLength, isRead, region: undefined }
}

/** The regions of the arrays, with each byte in one region only. @param own - the module's memory */
function regionsOf(arrays: readonly Passed[], own: ArrayBuffer): Region[] {
  const byBuffer = new Map<ArrayBufferLike, Passed[]>()
  for (const passed of arrays) {
    if (passed.byteLength === 0) continue
    const others = byBuffer.get(passed.array.buffer)
    if (others) others.push(passed)
    else byBuffer.set(passed.array.buffer, [passed])
  }
  const regions: Region[] = []
  for (const [buffer, ofBuffer] of byBuffer) {
    let region: Region | undefined
    for (const passed of ofBuffer.sort((a, b) => a.begin - b.begin)) {
      const end = passed.begin + passed.byteLength
      if (!region || passed.begin >= region.end) {
        const isOwn = buffer === own
        region = { buffer, begin: passed.begin, end, isRead: false, isOwn, address: isOwn ? passed.begin : 0 }
        regions.push(region)
      }
      region.end = Math.max(region.end, end)
      region.isRead ||= passed.isRead
      passed.region = region
    }
  }
  return regions
}

/** The address of an array in the module's memory; 0 for an array without bytes. */
function addressOf({ begin, region }: Passed): number {
  return region ? region.address + begin - region.begin : 0
}

/** The bytes of a slice's pieces that cover their segments, neighbours joined. */
function wholePieces(pieces: Float64Array, byteLength: number): { begin: number; end: number }[] {
  let elementCount = 0
  for (let at = 0; at < pieces.length; at += 3) elementCount += pieces[at + 2]!
  const elementBytes = byteLength / elementCount
  const ranges: { begin: number; end: number }[] = []
  for (let at = 0, begin = 0; at < pieces.length; at += 3) {
    const end = begin + pieces[at + 2]! * elementBytes
    const last = ranges.at(-1)
    if (pieces[at] !== pieces[at + 2]) begin = end
    else if (last?.end === begin) last.end = begin = end
    else ranges.push({ begin, end: (begin = end) })
  }
  return ranges
}

function tooLarge(byteLength: number): AdasumError {
  return new AdasumError(
    'ERR_ARGUMENT',
    `the arrays of this call have ${byteLength} bytes, and WebAssembly's memory, of at most ${MEMORY_BYTES}, has no room for ` +
      'so many. Reduce in smaller slices, or use the native addon.',
  )
}
