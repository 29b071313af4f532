/** Words and numbers as people read them, alike in the terminal and on the page. */

export const OP_NAMES = { none: 'one process', average: 'average', sum: 'sum', adasum: 'Adasum' }

/** @param {number} value */
export const formatCount = (value) => Math.round(value).toLocaleString('en-US')

/** @param {number} fraction @param {number} [digits] */
export const formatPercent = (fraction, digits = 1) =>
  Number.isFinite(fraction) ? `${(100 * fraction).toFixed(digits)} %` : '–'

/** @param {number} bytes */
export const formatMegabytes = (bytes) => (bytes === 0 ? '–' : `${formatCount(bytes / 1e6)} MB`)

/** @param {number | null} value */
export const formatOrthogonality = (value) => (value === null ? '–' : value.toFixed(2))

/** @param {number} loss */
export const formatLoss = (loss) => (Number.isFinite(loss) ? loss.toFixed(3) : 'NaN')

/** @param {number} count @param {string} noun */
export const plural = (count, noun) => `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`

/** `a`, `a and b`, `a, b and c`. @param {string[]} words */
export const joinWords = (words) =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`

/**
 * Breaks a text between words, for a terminal that would break it within one; a percent sign stays with its number.
 *
 * @param {string} text
 * @param {number} [columns] undefined leaves the text whole
 */
export function wrap(text, columns = Infinity) {
  const lines = ['']
  for (const word of text.split(/ (?!%)/)) {
    const line = lines.at(-1)
    if (line !== '' && line.length + 1 + word.length > columns) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}
