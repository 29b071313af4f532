/**
 * Which characters of the sources have run, by V8's own block counters. Taking the counters takes two milliseconds, so they are
 * taken for many inputs at once.
 */
import { type Profiler, Session } from 'node:inspector'

const OURS = '/ts/src/'

/** What has run since the counters were last taken, and never before. */
export interface News {
  /** How many characters of the sources. */
  readonly news: number
  /** From now on they count as seen. */
  keep(): void
}

export class Coverage {
  readonly #session = new Session()
  /** By file: a byte a character, 1 for those that have run. */
  readonly #seen = new Map<string, Uint8Array>()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    // Before anything is optimised: functions that are keep no counters.
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Takes the counters, which begin at 0 again. */
  take(): News {
    const fresh: [seen: Uint8Array, at: number][] = []
    for (const { url, functions } of this.#counters()) {
      const hits = hitsOf(functions)
      const seen = this.#seenIn(url, hits.length)
      for (let at = 0; at < hits.length; at++) if (hits[at] === 1 && seen[at] !== 1) fresh.push([seen, at])
    }
    return { news: fresh.length, keep: () => fresh.forEach(([seen, at]) => (seen[at] = 1)) }
  }

  /** How many characters of the sources have run. */
  get total(): number {
    return [...this.#seen.values()].reduce((sum, seen) => sum + seen.reduce((a, b) => a + b, 0), 0)
  }

  stop(): void {
    this.#session.disconnect()
  }

  #counters(): Profiler.ScriptCoverage[] {
    let scripts: Profiler.ScriptCoverage[] = []
    // The answer comes before the call returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error) throw error
      scripts = result
    })
    return scripts.filter(({ url }) => url.includes(OURS))
  }

  #seenIn(url: string, length: number): Uint8Array {
    const before = this.#seen.get(url) ?? new Uint8Array(0)
    if (before.length >= length) return before
    const longer = new Uint8Array(length)
    longer.set(before)
    this.#seen.set(url, longer)
    return longer
  }
}

/** Ranges lie within each other, the outer ones first. */
function hitsOf(functions: readonly Profiler.FunctionCoverage[]): Uint8Array {
  const ends = functions.flatMap(({ ranges }) => ranges.map(({ endOffset }) => endOffset))
  const hits = new Uint8Array(Math.max(0, ...ends))
  for (const { ranges } of functions)
    for (const { startOffset, endOffset, count } of ranges) hits.fill(count > 0 ? 1 : 0, startOffset, endOffset)
  return hits
}
