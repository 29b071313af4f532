/**
 * The results of a study's runs, a line of JSON each, appended as they come. A run that is killed leaves whole lines, and at
 * most one that is cut off at the end, which is dropped when the study goes on.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * A line: what was run, and what came out; or, with `machine`, where the lines behind it were made; or, with `processes`,
 * whether processes of their own came to the bits of simulated workers.
 */
export interface ResultLine {
  readonly cell?: object
  readonly result?: object
  readonly machine?: object
  readonly processes?: object
}

/** An object as text that does not depend on the order of its fields; undefined ones are left out. */
export function keyOf(value: object): string {
  return JSON.stringify(value, (_, field: unknown) =>
    typeof field === 'object' && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).sort(([a], [b]) => (a < b ? -1 : 1)))
      : field,
  )
}

/**
 * The whole lines of a file; none if there is no file.
 *
 * @throws Error for a whole line that is no JSON
 */
export function readLines(path: string): ResultLine[] {
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line, index) => {
      try {
        return JSON.parse(line) as ResultLine
      } catch (cause) {
        throw new Error(`${path}, line ${index + 1} is no JSON. Delete the line, or the file.`, { cause })
      }
    })
}

/** Results by the keys of their cells. */
export function resultsIn(paths: readonly string[]): Map<string, object> {
  const lines = paths.flatMap(readLines)
  return new Map(lines.flatMap(({ cell, result }) => (cell && result ? [[keyOf(cell), result] as const] : [])))
}

/** Prepares a file for lines at its end: without the beginning of a line that was cut off, or without any line. */
export function openResults(path: string, isResumed: boolean): void {
  mkdirSync(dirname(path), { recursive: true })
  if (!existsSync(path)) return
  if (!isResumed) return rmSync(path)
  const bytes = readFileSync(path)
  truncateSync(path, bytes.lastIndexOf('\n') + 1)
}

/** Appends a line by one write. */
export function appendLine(path: string, line: ResultLine): void {
  appendFileSync(path, `${JSON.stringify(line)}\n`)
}
