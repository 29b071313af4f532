/** How hard a secret is to guess, as far as its looks tell. */

/** Kinds of characters, and how many there are of each. */
const KINDS: readonly [RegExp, number][] = [
  [/[0-9]/, 10],
  [/[a-z]/, 26],
  [/[A-Z]/, 26],
  [/[^0-9a-zA-Z]/, 33],
]
/** A text with fewer different characters than one in so many is a pattern. */
const LEAST_SHARE = 1 / 4

/**
 * Bits of a text whose characters were drawn by chance from the kinds that are in it. What people make up has far fewer:
 * this finds what is too short and what repeats itself, no more.
 */
export function apparentBits(secret: string): number {
  const characters = [...secret]
  const different = new Set(characters).size
  const isHexadecimal = /^(?:[0-9a-f]+|[0-9A-F]+)$/.test(secret)
  const kinds = KINDS.filter(([kind]) => kind.test(secret)).reduce((sum, [, count]) => sum + count, 0)
  // Letters of both cases are most likely base64, with digits or without.
  const isMixed = /[a-z]/.test(secret) && /[A-Z]/.test(secret)
  const alphabet = isHexadecimal ? 16 : Math.max(kinds, isMixed ? 64 : 1)
  const isPattern = different < Math.min(alphabet / 2, LEAST_SHARE * characters.length)
  return (isPattern ? different : characters.length) * Math.log2(alphabet)
}
