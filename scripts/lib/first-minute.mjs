// README's first minute: the blocks marked <!-- first-minute -->, which a newcomer follows from top to bottom.

/**
 * @typedef {object} FirstMinute
 * @property {string} install command that installs the packages
 * @property {string} program content of train.mjs
 * @property {string} command that runs it
 * @property {RegExp} output what it prints, up to the numbers; a line of three dots stands for any lines
 */

/**
 * @param {string} readme
 * @returns {FirstMinute}
 */
export function firstMinuteOf(readme) {
  const marked = readme.matchAll(/^<!-- first-minute -->\n+```(\w+)\n([\s\S]*?)^```$/gm)
  const [install, program, command, output, ...more] = [...marked]
  const languages = [install, program, command, output].map((block) => block?.[1])
  if (languages.join() !== 'sh,js,sh,text' || more.length > 0) {
    throw new Error(
      'README.md must have four blocks marked <!-- first-minute -->: sh (install), js (train.mjs), sh (run), text (its ' +
        `output); it has: ${languages.filter(Boolean).join(', ') || 'none'}`,
    )
  }
  return {
    install: (install?.[2] ?? '').trim(),
    program: program?.[2] ?? '',
    command: (command?.[2] ?? '').trim(),
    output: outputPattern(output?.[2] ?? ''),
  }
}

/** @param {string} shown */
function outputPattern(shown) {
  const lines = shown
    .trimEnd()
    .split('\n')
    .map((line) => (line.trim() === '...' ? '(?:.*\n)*' : `${numbersMasked(line)}\n`))
  return new RegExp(`^${lines.join('')}$`)
}

/** @param {string} line */
function numbersMasked(line) {
  // The number in the brackets of a prefix is a rank, not a measurement.
  const [prefix = ''] = /^\[\d+\] /.exec(line) ?? []
  const escape = (/** @type {string} */ text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const pieces = line.slice(prefix.length).split(/\d+(?:\.\d+)?/)
  return escape(prefix) + pieces.map(escape).join('\\d+(?:\\.\\d+)?')
}
