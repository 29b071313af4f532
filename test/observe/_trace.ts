/** Reading and judging files of trace events: the JSON array format of Chrome, as Perfetto reads it. */
import { readFileSync } from 'node:fs'

export interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly ts: number
  readonly dur: number
  readonly pid: number
  readonly tid: number
  readonly cat: string
  readonly args: Record<string, unknown>
}

/** @param isWhole - whether the last bracket must be there */
export function readTrace(path: string, isWhole = true): TraceEvent[] {
  const text = readFileSync(path, 'utf8')
  return JSON.parse(isWhole ? text : `${wholeLines(text)}\n]`) as TraceEvent[]
}

/** Without a last line that is cut off: a signal may end a write in the middle. */
function wholeLines(text: string): string {
  return text.endsWith('}') ? text : text.slice(0, text.lastIndexOf('\n')).replace(/,$/, '')
}

/** What is wrong with events of one rank: their fields, and events of a row that overlap without one within the other. */
export function problemsOf(events: readonly TraceEvent[], rank: number): string[] {
  return [...events.flatMap((event) => problemsOfEvent(event, rank)), ...problemsOfNesting(events)]
}

function problemsOfEvent(event: TraceEvent, rank: number): string[] {
  const { name, ph, pid, tid, args } = event
  const checks: [string, boolean][] = [
    ['name', typeof name === 'string' && name !== ''],
    ['pid', pid === rank],
    ['tid', Number.isSafeInteger(tid) && tid >= 0],
    ['args', typeof args === 'object' && args !== null],
    ['ph', ph === 'X' || ph === 'M'],
  ]
  if (ph === 'M')
    checks.push(['metadata', /^(process|thread)_(name|sort_index)$/.test(name) && Object.keys(args).length === 1])
  if (ph === 'X')
    checks.push(
      ['ts', Number.isSafeInteger(event.ts) && event.ts > 1e15],
      ['dur', Number.isSafeInteger(event.dur) && event.dur >= 0],
      ['cat', typeof event.cat === 'string'],
    )
  return checks.filter(([, isRight]) => !isRight).map(([what]) => `${what} of ${JSON.stringify(event)}`)
}

export const isWithin = (inner: TraceEvent, outer: TraceEvent): boolean =>
  inner.ts >= outer.ts && inner.ts + inner.dur <= outer.ts + outer.dur

function problemsOfNesting(events: readonly TraceEvent[]): string[] {
  const problems: string[] = []
  const complete = events.filter(({ ph }) => ph === 'X')
  for (const thread of new Set(complete.map(({ tid }) => tid))) {
    const row = complete.filter(({ tid }) => tid === thread)
    const open: TraceEvent[] = []
    for (const event of row.toSorted((a, b) => a.ts - b.ts || b.dur - a.dur)) {
      while (open.length > 0 && open.at(-1)!.ts + open.at(-1)!.dur <= event.ts && !isWithin(event, open.at(-1)!))
        open.pop()
      if (open.length > 0 && !isWithin(event, open.at(-1)!))
        problems.push(`${JSON.stringify(event)} overlaps ${JSON.stringify(open.at(-1))}`)
      open.push(event)
    }
  }
  return problems
}
