// README's first minute: the blocks marked <!-- first-minute -->, which a newcomer follows from top to bottom.

/**
 * @typedef {object} FirstMinute
 * @property {string} install command that installs the packages
 * @property {string} program content of train.mjs
 * @property {string} command that runs it
 * @property {string} output what it prints, letter for letter: its numbers are the same everywhere
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
    output: output?.[2] ?? '',
  }
}
