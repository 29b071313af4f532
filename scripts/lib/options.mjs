// Options of scripts that say how much of a suite is to run.

/**
 * @param {string} name
 * @param {string} text
 * @returns {number} 1 or more
 * @throws {Error} a suite that was told nonsense must not run nothing and pass
 */
export function wholeNumber(name, text) {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} ${text} is no whole number of 1 or more`)
  return value
}
