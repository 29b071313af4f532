/**
 * Text that others have written, such as a peer's or the name of an array, as a message may show it: without what moves a
 * terminal's cursor, begins a line that is not ours, or turns the direction of writing.
 */

/** Control and format characters, line and paragraph separators, and halves of surrogate pairs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

const ELLIPSIS = '…'

/** @param most - characters of the result; what is longer is cut, and ends with an ellipsis */
export function printable(text: string, most: number): string {
  // Escaping makes it longer only: what is cut here would be cut below.
  const shown = text.slice(0, most + 1).replace(UNPRINTABLE, escaped)
  if (shown.length <= most) return shown
  return shown.slice(0, most - ELLIPSIS.length).replace(/[\ud800-\udbff]$/, '') + ELLIPSIS
}

function escaped(character: string): string {
  return String.raw`\u{${character.codePointAt(0)!.toString(16)}}`
}
