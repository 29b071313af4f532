/** A study's page, as Markdown. */
import { markdownTable } from '../../bench/lib/markdown-table.mjs'
import type { Machine } from '../engine/machine.ts'
import type { Comparison, Finding, Setting } from '../engine/study.ts'
import { knownSentences } from './answers/answer.ts'
import type { Chart } from './charts/render.ts'
import { Figures, curveOf, isComplete, numberText, valueText } from './figures.ts'
import { type Judgement, type Prediction, judge } from './prediction.ts'
import type { Replay } from './replay.ts'
import { SUBJECTS } from './subjects.ts'

export const MADE_BY = '<!-- This page is made of the results in studies/results by `npm run study:pages`. -->'

const joined = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join('\n\n')

/** All predictions with their judgements. */
export function judgementsOf(replay: Replay): (Prediction & Judgement)[] {
  const figures = new Figures(replay)
  return SUBJECTS[replay.study.name]!.answer.predictions.map((each) => ({ ...each, ...judge(each, figures) }))
}

/** How many of the predictions held, how many not. */
export function countText(judgements: readonly Judgement[]): string {
  const count = (verdict: Judgement['verdict']): number => judgements.filter((each) => each.verdict === verdict).length
  return `${count('held')} held, ${count('refuted')} refuted, ${count('open')} open`
}

/** @param charts - those of the study, in their order */
export function pageOf(replay: Replay, charts: readonly Chart[]): string {
  const { study, settings, missing } = replay
  const judgements = judgementsOf(replay)
  return `${joined(
    MADE_BY,
    `# ${study.name}`,
    study.question,
    missing > 0 ? unfinishedText(settings, missing) : '',
    ...section('What came out', outcomeText(replay, judgements)),
    ...section('Charts', joined(...charts.flatMap((chart, index) => chartParts(study.name, chart, charts.slice(0, index))))), // prettier-ignore
    ...section('Predictions beside outcomes', predictionsText(study.name, judgements)),
    ...section('Settings', settingsText(settings.filter(isComplete))),
    ...section('Settings that are not complete', incompleteText(settings.filter((each) => !isComplete(each)))),
    // What counts settings would count those that are missing as failed.
    ...section('What follows from the settings', missing > 0 ? '' : findingsText(replay.findings)),
    ...section('Where the figures are from', originText(replay)),
  )}\n`
}

const section = (title: string, text: string): string[] => (text === '' ? [] : [`## ${title}`, text])

function unfinishedText(settings: readonly Setting[], missing: number): string {
  const complete = settings.filter(isComplete).length
  return `**This study has not ended.** Complete are ${complete} of ${settings.length} settings; at least ${missing} runs are missing. What depends on them is not known, and is left out or open below.` // prettier-ignore
}

function outcomeText(replay: Replay, judgements: readonly Judgement[]): string {
  const sentences = knownSentences(SUBJECTS[replay.study.name]!.answer, new Figures(replay))
  const count = judgements.length === 0 ? [] : [`Of ${judgements.length} predictions: ${countText(judgements)}.`]
  return [...sentences, ...count].map((sentence) => `- ${sentence}`).join('\n')
}

/** A chart with its heading; how it is read stands below the first of its kind. */
function chartParts(study: string, chart: Chart, before: readonly Chart[]): string[] {
  const isRead = before.some(({ caption }) => caption === chart.caption)
  const title = chart.title.replace(/^./, (first) => first.toUpperCase())
  return [`### ${title}`, `![${title}](${fileOf(study, chart)})`, isRead ? '' : chart.caption]
}

export const fileOf = (study: string, { name }: Pick<Chart, 'name'>): string => `${study}-${name}.svg`

function predictionsText(study: string, judgements: readonly (Prediction & Judgement)[]): string {
  if (judgements.length === 0) return ''
  const table = markdownTable<Prediction & Judgement>(
    [
      ['no.', ({ number }) => String(number)],
      ['predicted', ({ predicted }) => predicted],
      ['refuted if', ({ refutedIf }) => refutedIf],
      ['figures', ({ figures }) => figures],
      ['verdict', ({ verdict }) => (verdict === 'open' ? verdict : `**${verdict}**`)],
    ],
    ['predicted', 'refuted if', 'figures', 'verdict'],
    judgements,
  )
  return joined(
    `These were committed [before the first run](predictions.md#${study}), and are shortened here. A prediction is refuted if its own criterion is met, and held if what it says is true of the figures. It is open if it is neither, or runs are missing. In brackets are 95 % intervals; points are percentage points, and 2× is twice the rate.`, // prettier-ignore
    table,
  )
}

function settingsText(settings: readonly Setting[]): string {
  if (settings.length === 0) return ''
  return markdownTable<Setting>(
    [
      ...placeColumns(),
      ['rate', ({ rate }) => numberText(rate, 4)],
      ['inside grid', ({ bestInsideGrid }) => (bestInsideGrid === null ? '' : bestInsideGrid ? 'yes' : '**no**')],
      ['measure', ({ measure }) => measure],
      ['mean', ({ mean, measure }) => valueText(mean, measure)],
      ['95 % interval', (setting) => intervalText(setting)],
      ['diverged', ({ diverged, seeds }) => `${diverged} of ${seeds.length}`],
    ],
    [...PLACE_TITLES, 'measure'],
    settings,
  )
}

const PLACE_TITLES = ['model', 'optimizer', 'operator', 'part']

function placeColumns(): [title: string, of: (setting: Setting) => string][] {
  return [
    ['model', ({ model }) => model],
    ['optimizer', ({ optimizer }) => optimizer],
    ['operator', curveOf],
    ['part', ({ part }) => part],
    ['workers', ({ workers }) => (typeof workers === 'number' ? String(workers) : workers.join(' → '))],
  ]
}

function intervalText({ interval, measure }: Setting): string {
  if (interval === null || interval.some(Number.isNaN)) return ''
  return interval.map((end) => valueText(end, measure)).join(' to ')
}

function incompleteText(settings: readonly Setting[]): string {
  if (settings.length === 0) return ''
  return markdownTable<Setting>(
    [
      ...placeColumns(),
      ['rate', ({ rate }) => (Number.isNaN(rate) ? 'not chosen yet' : numberText(rate, 4))],
      ['runs', ({ seeds, missing = 0 }) => `${seeds.length - missing} of ${seeds.length}`],
    ],
    PLACE_TITLES,
    settings,
  )
}

function findingsText(findings: readonly Finding[]): string {
  if (findings.length === 0) return ''
  return markdownTable<Finding>(
    [
      ['figure', ({ name }) => name],
      ['value', ({ mean }) => (typeof mean === 'number' ? numberText(mean) : mean)],
      ['95 % interval', ({ interval }) => interval?.map((end) => numberText(end)).join(' to ') ?? ''],
    ],
    ['figure'],
    findings,
  )
}

/** All runs added up, whether they ran beside each other or not. */
export function hoursOf(runs: Replay['runs']): number {
  return runs.reduce((sum, { result }) => sum + result.seconds, 0) / 3600
}

function originText({ study, runs, machines, comparison }: Replay): string {
  const others = [...new Set(runs.map(({ madeBy }) => madeBy))].filter((name) => name !== study.name).sort()
  const taken = others.map((name) => `${runs.filter(({ madeBy }) => madeBy === name).length} of ${name}`)
  const list = (of: (machine: Machine) => string | number): string => [...new Set(machines.map(of))].join(', ')
  const days = machines.map(({ date }) => date.slice(0, 10)).sort()
  return [
    `${runs.length} runs took ${numberText(hoursOf(runs))} hours, added up${taken.length > 0 ? `; taken over were ${taken.join(' and ')}` : ''}.`, // prettier-ignore
    ...(comparison ? [comparisonText(comparison)] : []),
    `Machine: ${list((each) => `${each.processor}, ${each.cores} cores, ${each.memoryGiB} GiB, ${each.system}`)}.`,
    `Versions: adasum ${list(({ adasum }) => adasum)}, Node.js ${list(({ node }) => node)}.`, // prettier-ignore
    `Commits: ${list(({ commit }) => commit)}; from ${days[0] ?? 'an unknown day'} to ${days.at(-1) ?? 'another'}.`,
  ]
    .map((sentence) => `- ${sentence}`)
    .join('\n')
}

function comparisonText({ workers, op, of, equal }: Comparison): string {
  const bits = equal ? 'came to the same bits as simulated workers' : '**came to other bits than simulated workers**'
  return `${String(workers)} processes of their own, with ${curveOf({ op, of })}, ${bits}.`
}
