/** Changes of an input, at random: what may make another meaning of it, rather than any noise. */
import type { Random } from '../transport/_random.ts'

const MOST_AT_ONCE = 4
const LONGEST_STRETCH = 64

const BYTES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x20, 0x22, 0x2c, 0x30, 0x39, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d]
const WHOLE_NUMBERS = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]
const DOUBLES = [-1, -0, 0.5, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 1e300, NaN, Infinity, -Infinity, 5e-324]
const NUMERALS = [
  '-1',
  '-0',
  '1e999',
  '1.5',
  '9007199254740991',
  '9007199254740992',
  '18446744073709551616',
  '00',
  '1e-7',
]

const ZERO = 0x30
const QUOTE = 0x22

/** Makes inputs of inputs. */
export class Mutations {
  readonly #random: Random
  readonly #texts: readonly Uint8Array[]
  /** The same, and numerals. */
  readonly #words: readonly Uint8Array[]
  readonly #largest: number

  constructor(random: Random, words: readonly string[], largest: number) {
    this.#random = random
    this.#texts = words.map((word) => Buffer.from(word))
    this.#words = [...this.#texts, ...NUMERALS.map((word) => Buffer.from(word))]
    this.#largest = largest
  }

  /** @param other - a second input, of which a part may get into the first */
  mutate(input: Uint8Array, other: Uint8Array): Uint8Array {
    let bytes = Uint8Array.from(input)
    for (let count = 1 + this.#below(MOST_AT_ONCE); count > 0; count--) bytes = this.#once(bytes, other)
    return bytes.length > this.#largest ? bytes.subarray(0, this.#largest) : bytes
  }

  #once(bytes: Uint8Array<ArrayBuffer>, other: Uint8Array): Uint8Array<ArrayBuffer> {
    const at = this.#below(bytes.length + 1)
    const length = this.#below(Math.min(LONGEST_STRETCH, bytes.length - at + 1))
    switch (this.#below(13)) {
      case 0:
        return this.#setByte(bytes, at, (byte) => byte ^ (1 << this.#below(8)))
      case 1:
        return this.#setByte(bytes, at, () => this.#pick(BYTES))
      case 2:
        return this.#setByte(bytes, at, (byte) => byte + this.#below(9) - 4)
      case 3:
        return splice(bytes, at, length, bytes.subarray(0, 0))
      case 4:
        return splice(bytes, at, 0, bytes.slice(at, at + length))
      case 5:
        return splice(bytes, at, this.#below(2) * length, this.#pick(this.#words))
      case 6:
        return this.#setNumber(bytes, at)
      case 7:
        return splice(
          bytes,
          at,
          0,
          Uint8Array.from({ length: 1 + this.#below(4) }, () => this.#below(256)),
        )
      case 8:
        return bytes.slice(0, at)
      case 9:
      case 10:
        return this.#setNumeral(bytes, at)
      case 11:
        return this.#setString(bytes, at)
      default: {
        const from = this.#below(other.length + 1)
        return splice(bytes, at, this.#below(2) * length, other.subarray(from, from + LONGEST_STRETCH))
      }
    }
  }

  #setByte(bytes: Uint8Array<ArrayBuffer>, at: number, change: (byte: number) => number): Uint8Array<ArrayBuffer> {
    if (at < bytes.length) bytes[at] = change(bytes[at]!)
    return bytes
  }

  #setNumber(bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
    const view = new DataView(bytes.buffer)
    const isLittle = this.#below(2) === 0
    const whole = this.#pick(WHOLE_NUMBERS)
    const rest = bytes.length - at
    const kind = this.#below(3)
    if (kind === 0 && rest >= 2) view.setUint16(at, whole, isLittle)
    if (kind === 1 && rest >= 4) view.setUint32(at, whole, isLittle)
    if (kind === 2 && rest >= 8) view.setFloat64(at, this.#below(2) === 0 ? whole : this.#pick(DOUBLES), isLittle)
    return bytes
  }

  /** Another number in place of the next one that is written in digits. */
  #setNumeral(bytes: Uint8Array<ArrayBuffer>, from: number): Uint8Array<ArrayBuffer> {
    const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= ZERO + 9
    const at = bytes.findIndex((byte, index) => index >= from && isDigit(byte))
    if (at < 0) return bytes
    let end = at
    while (isDigit(bytes[end])) end++
    const numeral = this.#below(2) === 0 ? `${this.#below(20)}` : this.#pick(NUMERALS)
    return splice(bytes, at, end - at, Buffer.from(numeral))
  }

  /** A word in place of what stands between the next two quotation marks. */
  #setString(bytes: Uint8Array<ArrayBuffer>, from: number): Uint8Array<ArrayBuffer> {
    const begin = bytes.indexOf(QUOTE, from) + 1
    const end = begin === 0 ? -1 : bytes.indexOf(QUOTE, begin)
    if (end < 0) return bytes
    const word = this.#pick(this.#texts.length > 0 ? this.#texts : this.#words)
    return splice(bytes, begin, end - begin, word[0] === QUOTE && word.at(-1) === QUOTE ? word.subarray(1, -1) : word)
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count)
  }

  #pick<T>(all: readonly T[]): T {
    return all[this.#below(all.length)]!
  }
}

function splice(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(bytes.length - removed + added.length)
  result.set(bytes.subarray(0, at))
  result.set(added, at)
  result.set(bytes.subarray(at + removed), at + added.length)
  return result
}
