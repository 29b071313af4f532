/**
 * Makes foreign text (a peer's, say, or the name of an array) safe for a message: without characters that move a
 * terminal's cursor, begin a new line, or reverse the direction of writing.
 */

/** Control and format characters, line and paragraph separators, and halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const ELLIPSIS = '…'

/** @param most - characters of the result; what is longer is cut, and ends with an ellipsis */
export function printable(text: string, most: number): string {
  // Escaping only makes the text longer, so whatever is cut here would be cut below.
  const shown = text.slice(0, most + 1).replace(UNPRINTABLE, escaped)
  if (shown.length <= most) return shown
  return shown.slice(0, most - ELLIPSIS.length).replace(/[\ud800-\udbff]$/, '') + ELLIPSIS
}

function escaped(character: string): string {
  return String.raw`\u{${character.codePointAt(0)!.toString(16)}}`
}
