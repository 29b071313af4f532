/** All pages of studies that have results, and the list that leads to them. */
import { markdownTable } from '../../bench/lib/markdown-table.mjs'
import type { Study } from '../engine/study.ts'
import { STUDIES } from '../questions/index.ts'
import { render } from './charts/render.ts'
import { Figures } from './figures.ts'
import { countText, fileOf, hoursOf, judgementsOf, pageOf } from './page.ts'
import { type Replay, replay } from './replay.ts'
import { type Results, studiesWithRuns } from './results.ts'
import { SUBJECTS } from './subjects.ts'

export interface Pages {
  /** Texts by the names of their files: pages and charts. */
  readonly files: ReadonlyMap<string, string>
  /** A table of all studies. */
  readonly list: string
}

/** @param quick - whether the results are of quick runs */
export async function pagesOf(results: Results, quick: boolean = false): Promise<Pages> {
  const withRuns = studiesWithRuns(results)
  const files = new Map<string, string>()
  const replays = new Map<string, Replay>()
  for (const study of STUDIES.filter(({ name }) => withRuns.has(name))) {
    const replayed = await replay(study, results, quick)
    const charts = SUBJECTS[study.name]!.charts(new Figures(replayed))
    replays.set(study.name, replayed)
    files.set(`${study.name}.md`, pageOf(replayed, charts))
    for (const chart of charts) files.set(fileOf(study.name, chart), await render(chart))
  }
  return { files, list: listOf(replays) }
}

/** A study of which nothing was predicted stands in the list only with results: it is there for tests. */
function listOf(replays: ReadonlyMap<string, Replay>): string {
  const listed = STUDIES.filter(({ name }) => replays.has(name) || SUBJECTS[name]!.answer.predictions.length > 0)
  return markdownTable<Study>(
    [
      ['study', ({ name }) => (replays.has(name) ? `[${name}](studies/${name}.md)` : name)],
      ['predictions', ({ name }) => outcomeOf(replays.get(name))],
      ['runs', ({ name }) => String(ownRuns(replays.get(name)).length)],
      ['hours', ({ name }) => hoursOf(ownRuns(replays.get(name))).toFixed(2)],
    ],
    ['study', 'predictions'],
    listed,
  )
}

/** Those that were not taken over from another study. */
function ownRuns(replayed: Replay | undefined): Replay['runs'] {
  return replayed?.runs.filter(({ madeBy }) => madeBy === replayed.study.name) ?? []
}

function outcomeOf(replayed: Replay | undefined): string {
  if (replayed === undefined) return 'not run yet'
  const judgements = judgementsOf(replayed)
  const count = judgements.length === 0 ? 'none' : countText(judgements)
  return replayed.missing > 0 ? `not finished; ${count}` : count
}

const [BEGIN, END] = ['<!-- The table is made by `npm run study:pages`. -->', '<!-- The end of the table. -->']

/**
 * A document with the list in it, between its marks.
 *
 * @throws Error if it has no marks
 */
export function withList(document: string, list: string): string {
  const [before, rest] = document.split(BEGIN)
  const [, after] = rest?.split(END) ?? []
  if (before === undefined || after === undefined) throw new Error(`The document lacks the marks ${BEGIN} and ${END}.`)
  return `${before}${BEGIN}\n\n${list}\n\n${END}${after}`
}

/** Whether a file of docs/studies is made of results. */
export function isMade(name: string): boolean {
  return STUDIES.some((study) => name === `${study.name}.md` || isChartOf(study.name, name))
}

const isChartOf = (study: string, name: string): boolean => name.startsWith(`${study}-`) && name.endsWith('.svg')
