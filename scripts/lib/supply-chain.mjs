// What npm audit and cargo-deny answer: something is wrong, nothing is, or nobody could be asked.

/**
 * @typedef {object} Answer
 * @property {number | null} status exit code; null if it could not be started, or took too long
 * @property {string} output
 * @property {string} words on stderr
 *
 * @typedef {object} Finding
 * @property {string} name
 * @property {string} [problem] what was found
 * @property {string} [missing] why nothing could be found out
 */

const LONGEST_REASON = 200

/**
 * @param {string} name
 * @param {Answer} answer of `npm audit --json`
 * @returns {Finding}
 */
export function readAudit(name, { status, output, words }) {
  const report = parsed(output)
  // Without an answer of the registry there is an error, or no JSON at all.
  if (report === undefined || report.error !== undefined || report.metadata?.vulnerabilities === undefined)
    return { name, missing: shortened(report?.error?.summary || report?.message || words || output || 'no answer') }
  if (status === 0) return { name }
  const found = Object.entries(report.vulnerabilities ?? {})
  return {
    name,
    problem: found.map(([who, { severity, range }]) => `${name}: ${who} ${range}: ${severity}`).join('\n'),
  }
}

/**
 * @param {string} name
 * @param {Answer} answer of `cargo deny check`
 * @returns {Finding}
 */
export function readDeny(name, { status, output, words }) {
  if (status === 0) return { name }
  return status === null ? { name, missing: shortened(words) } : { name, problem: `${output}${words}` }
}

/**
 * The database of advisories comes from a server, which may be out of reach.
 *
 * @param {string} name
 * @param {Answer} answer of `cargo deny check advisories`
 * @returns {Finding}
 */
export function readDenyAdvisories(name, answer) {
  const isOffline = /failed to (fetch|clone|open|acquire|load)[^\n]*(advisory|database|db)/i.test(answer.words)
  return isOffline ? { name, missing: shortened(answer.words) } : readDeny(name, answer)
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** @param {string} text */
function shortened(text) {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, LONGEST_REASON)
}
