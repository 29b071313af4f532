// Reads what test runners print into counts. A runner that ends badly has failed whatever it counted: see `judge`.

import { stripVTControlCharacters } from 'node:util'

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} notes lines for the end of the run: what was skipped and why, what was covered, what failed and how
 */

/**
 * Every test program and every crate's documentation tests end with a line of their own; they are added up.
 *
 * @param {string} output of `cargo test`
 * @returns {Counts}
 */
export function readCargo(output) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const [, passed, failed, ignored] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
    counts.skipped += Number(ignored)
  }
  const ignored = [...output.matchAll(/^test (.+) \.\.\. ignored(?:, (.+))?$/gm)]
  const notes = ignored.map(([, name, reason]) => `skipped: ${name}${reason === undefined ? '' : ` (${reason})`}`)
  const failures = [...output.matchAll(/^test (.+) \.\.\. FAILED$/gm)].map(([, name]) => `failed: ${name}`)
  return { ...counts, notes: [...notes, ...readNotes(output), ...failures] }
}

/**
 * The summary names the passed tests only if none failed, so those are counted by their own lines.
 *
 * @param {string} output of ava with its default reporter
 * @returns {Counts}
 */
export function readAva(output) {
  const plain = stripVTControlCharacters(output)
  const summary = plain.slice(plain.lastIndexOf('\n  ─') + 1)
  const count = (/** @type {RegExp} */ line) => Number(line.exec(summary)?.[1] ?? 0)
  const skips = [...plain.matchAll(/^ *- \[(?:skip|todo)\] (.+)$/gm)]
  return {
    passed: count(/^ *(\d+) tests? passed/m) || [...plain.matchAll(/^ *[✔√] /gm)].length,
    failed:
      count(/^ *(\d+) tests? failed/m) +
      count(/^ *(\d+) hooks? failed/m) +
      count(/^ *(\d+) uncaught exceptions?/m) +
      count(/^ *(\d+) unhandled rejections?/m),
    skipped: skips.length,
    notes: [...skips.map(([, title]) => `skipped: ${title}`), ...readNotes(plain), ...readAvaFailures(plain)],
  }
}

/** Lines of ava's report of a failure that are repeated at the end: enough to know where to look if a log keeps its last lines only. */
const REPORT_LINES = 16

/**
 * @param {string} plain
 * @returns {string[]} the title of every failed test, each followed by the beginning of its report
 */
function readAvaFailures(plain) {
  const [listed = '', reports = ''] = plain.split(/^ {2}─$/m)
  const titles = [...listed.matchAll(/^ *[✘×] (?:\[fail\]: )?(.+)$/gm)].map(([, title = '']) => title)
  const blocks = reports.split(/\n{4,}/).map((text) => text.trim().split('\n'))
  // A line of the list goes on after the title with what was thrown.
  const detailsOf = (/** @type {string} */ line) =>
    blocks.find(([title = '']) => title !== '' && `${line} `.startsWith(`${title} `))?.slice(1) ?? []
  return titles.flatMap((title) => [
    `failed: ${title}`,
    ...detailsOf(title)
      .filter((line) => line.trim() !== '' && !/node_modules|node:internal/.test(line))
      .slice(0, REPORT_LINES)
      .map((line) => `failed:   ${line}`),
  ])
}

/**
 * @param {string} output of `adasum run`, whose ranks say `ok - ...` or `not ok - ...`
 * @returns {Counts}
 */
export function readRanks(output) {
  const count = (/** @type {RegExp} */ line) => [...output.matchAll(line)].length
  return { passed: count(/\] ok - /g), failed: count(/\] not ok - /g), skipped: 0, notes: [] }
}

/**
 * @param {string} output with a line of `summaryLine`, after which npm may have added words of its own
 * @returns {Counts}
 */
export function readSummary(output) {
  const plain = stripVTControlCharacters(output)
  const [, passed, failed, skipped = 0] = [...plain.matchAll(SUMMARY)].at(-1) ?? [0, 0, 0]
  return { passed: Number(passed), failed: Number(failed), skipped: Number(skipped), notes: readNotes(plain) }
}

const SUMMARY = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/gm

/**
 * Tests say with such a line of their own what a machine did not let them check, or what they did cover on it.
 *
 * @param {string} output
 * @returns {string[]}
 */
function readNotes(output) {
  return [...output.matchAll(/^(?:skipped|covered|failed): .+$/gm)].map(([line]) => line)
}

/**
 * A suite that ended badly, or in which no test ran, has failed.
 *
 * @param {Counts} counts
 * @param {boolean} endedWell whether it exited with 0
 * @returns {Counts}
 */
export function judge(counts, endedWell) {
  const hasFailed = !endedWell || counts.passed + counts.failed === 0
  return { ...counts, failed: hasFailed ? Math.max(1, counts.failed) : counts.failed }
}

/**
 * A suite that names no failed test of its own is named itself.
 *
 * @param {string} name
 * @param {Counts} counts
 * @returns {Counts}
 */
export function withFailureNamed(name, counts) {
  const isNamed = counts.failed === 0 || counts.notes.some((note) => note.startsWith('failed: '))
  return isNamed ? counts : { ...counts, notes: [...counts.notes, `failed: ${name}`] }
}

/**
 * A suite that is a script of package.json and ends with a line of `summaryLine`.
 *
 * @param {string} script
 * @param {readonly string[]} args
 * @param {number} limitMinutes
 * @returns {import('./suite.mjs').Suite}
 */
export function npmSuite(script, args, limitMinutes) {
  const name = [script, ...args].join(' ')
  return { name, command: 'npm', args: ['run', script, '--', ...args], read: readSummary, limitMinutes }
}

/**
 * The counts of suites that have no part that a machine may lack: what they skip counts as failed.
 *
 * @param {Counts} counts
 * @returns {Counts}
 */
export function complete(counts) {
  return { ...counts, failed: counts.failed + counts.skipped }
}

/**
 * What failed stands last in the notes, nearest to the line with the counts.
 *
 * @param {readonly Counts[]} all
 * @returns {Counts}
 */
export function sum(all) {
  const isFailure = (/** @type {string} */ note) => note.startsWith('failed: ')
  const notes = [...new Set(all.flatMap((counts) => counts.notes))]
  const ordered = [...notes.filter((note) => !isFailure(note)), ...notes.filter(isFailure)]
  const total = { passed: 0, failed: 0, skipped: 0, notes: ordered }
  for (const counts of all) {
    total.passed += counts.passed
    total.failed += counts.failed
    total.skipped += counts.skipped
  }
  return total
}

/** @param {Counts} counts */
export function summaryLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}
