/**
 * A reader of JSON for files that anybody may have written, because JSON.parse keeps the last of two equal names without
 * a word, rounds large numbers, takes arrays nested without end, and has a special name, `__proto__`.
 */

import { printable } from '../printable.ts'

/** What is wrong with a file; the caller adds which one. */
export class FormatError extends Error {}

/** More than a name takes whose characters are all escaped. */
const MOST_DISPLAYED = 1000

/** A name for a message: short, and without characters that a terminal would obey, of which JSON escapes the first few only. */
export function displayText(name: string): string {
  return printable(JSON.stringify(name.length > 60 ? `${name.slice(0, 57)}...` : name), MOST_DISPLAYED)
}

const BLANKS = ' \t\r\n'
/** As many digits as 2^53 has. */
const MAX_DIGITS = 16
const SCALAR = /^(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/
/** Characters of a number that is passed over. */
const MOST_SCALAR = 400
const MOST_DEPTH = 100

/** Reads a text from front to back; `what` names it in messages. */
export class JsonReader {
  readonly #text: string
  readonly #what: string
  #at = 0

  constructor(text: string, what: string) {
    this.#text = text
    this.#what = what
  }

  /** Calls `member` at the value of each member. */
  object(member: (name: string) => void): void {
    const names = new Set<string>()
    this.#list('{', '}', () => {
      const name = this.string()
      if (names.has(name)) throw new FormatError(`${this.#what} has ${displayText(name)} twice`)
      names.add(name)
      this.#expect(':')
      member(name)
    })
  }

  /** Calls `item` at each item. */
  array(item: () => void): void {
    this.#list('[', ']', item)
  }

  string(): string {
    this.#expect('"')
    const begin = this.#at - 1
    for (;;) {
      const quote = this.#text.indexOf('"', this.#at)
      if (quote < 0) throw this.#wrong('the end of a string')
      this.#at = quote + 1
      let escapes = quote
      while (this.#text[escapes - 1] === '\\') escapes--
      if ((quote - escapes) % 2 === 0) break
    }
    return this.#decoded(this.#text.slice(begin, this.#at), begin)
  }

  /** A whole number from 0 to 2^53 - 1. */
  integer(): number {
    this.#skipBlanks()
    const digits = /^(?:0|[1-9][0-9]*)/.exec(this.#text.slice(this.#at, this.#at + MAX_DIGITS + 1))?.[0] ?? ''
    if (digits === '' || !Number.isSafeInteger(Number(digits))) throw this.#wrong('a whole number below 2^53')
    this.#at += digits.length
    return Number(digits)
  }

  /** Passes over any value. */
  skip(depth = 0): void {
    this.#skipBlanks()
    if (depth > MOST_DEPTH) throw this.#wrong('what is nested less deeply')
    const begin = this.#text[this.#at]
    if (begin === '{') return this.object(() => this.skip(depth + 1))
    if (begin === '[') return this.array(() => this.skip(depth + 1))
    if (begin === '"') return void this.string()
    const scalar = SCALAR.exec(this.#text.slice(this.#at, this.#at + MOST_SCALAR))?.[0]
    if (scalar === undefined) throw this.#wrong('a value')
    this.#at += scalar.length
  }

  end(): void {
    this.#skipBlanks()
    if (this.#at < this.#text.length) throw this.#wrong('its end')
  }

  #list(open: string, close: string, item: () => void): void {
    this.#expect(open)
    if (this.#skip(close)) return
    do item()
    while (this.#skip(','))
    this.#expect(close)
  }

  #decoded(literal: string, begin: number): string {
    let text: string
    try {
      text = JSON.parse(literal) as string
    } catch {
      this.#at = begin
      throw this.#wrong('a string')
    }
    if (isWellFormed(text)) return text
    throw new FormatError(`${this.#what} has ${displayText(text)}, which is no Unicode text`)
  }

  #expect(character: string): void {
    if (!this.#skip(character)) throw this.#wrong(character)
  }

  #skip(character: string): boolean {
    this.#skipBlanks()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #skipBlanks(): void {
    while (this.#at < this.#text.length && BLANKS.includes(this.#text[this.#at]!)) this.#at++
  }

  #wrong(expected: string): FormatError {
    const found = this.#at < this.#text.length ? displayText(this.#text.slice(this.#at, this.#at + 12)) : 'its end'
    return new FormatError(
      `${this.#what} is not that of the format: ${found} at character ${this.#at}, instead of ${expected}`,
    )
  }
}

/** Whether a string has no half of a surrogate pair, which UTF-8 cannot hold. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}
