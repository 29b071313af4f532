/** The table, the bars and the page of the example, of runs that are made up. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import {
  type Config,
  EXAMPLE,
  type Outcomes,
  type Records,
  type Results,
  type Runs,
  type Summary,
  everywhere,
  finishedRun,
  finishedRuns,
  load,
  results,
} from './_mnist.ts'

interface Verdict {
  verdictOn: (results: Results, steps: number) => { rates: string; epoch: string; details: string[] }
}

interface Table {
  tableRows: (results: Results) => string[][]
  weightLine: (results: Results) => string
}

interface Page {
  renderPage: (setting: object, runs: Runs) => string
  smooth: (values: number[]) => [number, number][]
}

interface Glance {
  glanceLines: (rates: Summary[], colours: object) => string[]
}

interface Axes {
  evenTicks: (end: number) => number[]
}

const { summarize, record, createRun, isDone } = await load<Records>('records.mjs')
const { verdictOn } = await load<Verdict>('verdict.mjs')
const { tableRows, weightLine } = await load<Table>('table.mjs')
const { renderPage, smooth } = await load<Page>('page.mjs')
const { glanceLines } = await load<Glance>('glance.mjs')
const { evenTicks } = await load<Axes>('axes.mjs')
const config = await load<Config>('config.mjs')
const { OWN_RATE, RATES, OPS } = config

const SETTING = { title: 'A <title> & more', facts: [['machine', 'avx2']], notice: '' }
const GOOD: Outcomes = {
  average: [0.8, 0.85, 0.9, 0.93, 0.95],
  sum: [0.94, 0.955, 0.9621, 0.1, { diverged: true, accuracy: NaN }],
  adasum: [0.93, 0.96, 0.97, 0.9655, 0.96],
}

test('fifteen runs of a third of an epoch, five rates in powers of two around that of one worker', (t) => {
  const plans = config.ratePlans(60_000, 4)
  t.deepEqual(
    plans.map(({ op, learningRate }) => `${learningRate} ${op}`),
    RATES.flatMap((rate) => OPS.map((op) => `${rate} ${op}`)),
  )
  t.deepEqual(
    RATES.map((rate) => Math.log2(rate / OWN_RATE)),
    [-2, -1, 0, 1, 2],
  )
  t.true(plans.every(({ steps, part }) => steps === 78 && part === 'rates'))
  t.deepEqual(config.epochPlan(60_000, 4), { part: 'epoch', op: 'adasum', learningRate: OWN_RATE, steps: 234 })
  // One worker takes sixteen times as many steps, with the same images.
  t.deepEqual(config.alonePlan(234 * 256), { part: 'epoch', op: 'none', learningRate: OWN_RATE, steps: 3744 })
})

test('the table is sorted by rate and operator, and ends with the epoch', (t) => {
  const made = results(GOOD)
  const rows = tableRows({ ...made, rates: made.rates.toReversed() })
  const names = ['average', 'sum', 'Adasum']
  const expected = RATES.flatMap((rate) => names.map((name) => `${rate} ${name}`))
  t.deepEqual(
    rows.map(([rate, name]) => `${rate} ${name}`),
    [...expected, `${OWN_RATE} one process`, `${OWN_RATE} Adasum`],
  )
})

test('the table says which runs are near the best, and which have failed', (t) => {
  const remarks = tableRows(results(GOOD)).map((row) => row.at(-1))
  const near = 'within one point'
  t.deepEqual(remarks, [
    ...['', '', ''],
    ...['', '', near],
    ...['', near, 'best'],
    ...['', 'as good as guessing', near],
    ...['', 'diverged', near],
    ...['', ''],
  ])
})

test('a run is summed up over its ranks', (t) => {
  const made = results(GOOD)
  const plan = { part: 'rates', op: 'adasum', learningRate: OWN_RATE, steps: 20 } as const
  const summary = summarize(finishedRun(plan))
  t.is(summary.seconds, 13)
  t.is(summary.bytesSent, 4e6)
  t.is(summary.images, 20 * 16 * 16)
  t.is(summary.communicationShare, 8 / (10 + 11 + 12 + 13))
  t.true(Math.abs(summary.orthogonality! - (0.25 + 9.5 / 40)) < 1e-12)
  t.true(summary.weightsEqual)
  const row = tableRows({ ...made, rates: [summary] })[0]
  t.deepEqual(row, [...[String(OWN_RATE), 'Adasum', '5,120', '20', '97.00 %', '13.0', '17 %', '4 MB', '0.49', 'best']])
  const alone = tableRows(made).at(-2)
  t.deepEqual(alone, [...[String(OWN_RATE), 'one process', '59,904', '3,744', '98.00 %', '50.0'], '–', '–', '–', ''])
})

test('a run is done only when every rank has said so', (t) => {
  const run = createRun({ part: 'rates', op: 'sum', learningRate: 1, steps: 1 }, 2)
  record(run, 1, { type: 'done' })
  t.false(isDone(run))
  record(run, 0, { type: 'done' })
  t.true(isDone(run))
})

test('weights that differ on one rank are reported, with the run', (t) => {
  const runs = finishedRuns(GOOD)
  const line = (): string => weightLine({ rates: runs.rates.map(summarize), alone: summarize(runs.alone), ranks: summarize(runs.ranks) }) // prettier-ignore
  const where = 'The same weights on all 4 ranks at the end of each of 16 runs, bit for bit:'
  t.is(line(), `${where} yes`)
  runs.rates[4]!.done[2]!.sha256 = 'cd'.repeat(32)
  t.is(line(), `${where} NO, not with sum at ${RATES[1]}`)
  runs.ranks.done[3]!.sha256 = 'cd'.repeat(32)
  t.is(line(), `${where} NO, not with sum at ${RATES[1]} and Adasum at ${OWN_RATE} (epoch)`)
})

test('the bars of the terminal have a line a rate, and mark what is near the best', (t) => {
  const same = (words: string): string => words
  const plain = { bold: same, dim: same, white: same, cyan: same, yellow: same, green: same }
  const lines = glanceLines(results(GOOD).rates, plain)
  t.is(lines.length, 7)
  t.regex(lines[0]!, /^ +rate {2}average +sum +Adasum$/)
  t.is(lines.slice(1, 6).join('').split('●').length - 1, 5)
  t.regex(lines[3]!, /^ +0\.01 {2}[━─]{10} {2}90\.00 % {4}[━─]{10} {2}96\.21 % ● {2}[━─]{10} {2}97\.00 % ●$/)
  t.regex(lines[5]!, / {2}─{10} {8}– {2}/, 'a diverged run has neither bar nor number')
  const filled = (line: string): number[] => line.match(/[━─]{10}/g)!.map((bar) => bar.replaceAll('─', '').length)
  const [average, sum, adasum] = filled(lines[3]!)
  t.true(average! < sum! && sum! <= adasum!)
  t.true(lines.every((line) => line.length < 80))
})

/** Every tag is closed, in order; returns how often each was opened. */
function countTags(html: string): Map<string, number> {
  const open: string[] = []
  const counts = new Map<string, number>()
  for (const [, closing, name = '', isEmpty] of html.matchAll(/<(\/)?([a-z][a-z0-9]*)\b[^<>]*?(\/)?>/gi)) {
    if (closing === undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
    if (closing !== undefined && open.pop() !== name) throw new Error(`</${name}> closes something else`)
    if (closing === undefined && isEmpty === undefined) open.push(name)
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(', ')}`)
  return counts
}

test('the page is well-formed, needs no network and shows every run', (t) => {
  const runs = finishedRuns(GOOD)
  const html = renderPage(SETTING, runs)
  const counts = countTags(html.replace('<!doctype html>', ''))
  t.is(counts.get('figure'), 3)
  t.is(counts.get('tr'), 18)
  t.is([...html.matchAll(/<g class="series op-/g)].length, 5)
  t.is([...html.matchAll(/<g class="series layer-/g)].length, 5)
  t.is([...html.matchAll(/<circle/g)].length, 15 + 6)
  t.notRegex(html, /https?:|\b(src|href)=|url\(|@import|<script|NaN|undefined|Infinity/)
  t.true(html.includes('A &lt;title&gt; &amp; more'))
})

test('the page says what the terminal says: headlines over the figures, and the sentences', (t) => {
  for (const examples of [60_000, config.QUICK_EXAMPLES]) {
    const page = renderPage(SETTING, finishedRuns(GOOD, {}, examples)).replaceAll('\u00a0', ' ')
    const { rates, epoch, details } = verdictOn(results(GOOD, {}, examples), config.rateSteps(examples, 4))
    t.deepEqual([...page.matchAll(/<figcaption>([^<]*)</g)].map(([, caption]) => caption).slice(0, 2), [rates, epoch])
    for (const sentence of details) t.true(page.includes(sentence))
    // Short runs are not counted.
    t.is(/<span>Adasum: 4 of 5<\/span>/.test(page), examples === 60_000)
  }
})

interface Box {
  left: number
  right: number
  top: number
  bottom: number
}

/** Where curves may be: between the ends of the lines of the grid. */
function plotOf(chart: string): Box {
  const ends = (name: string): number[] =>
    [...chart.matchAll(/<line class="grid"[^>]*>/g)].flatMap(([line]) =>
      [...line.matchAll(new RegExp(`\\b${name}[12]="([-\\d.]+)"`, 'g'))].map(([, value]) => Number(value)),
    )
  const [xs, ys] = [ends('x'), ends('y')]
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) }
}

/** Places of the words of a chart that lie as they are read, not turned: their anchors, which are one end or the middle. */
function wordsOf(chart: string): { x: number; y: number; words: string }[] {
  const texts = [...chart.matchAll(/<text class="\w+" x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)</g)]
  return texts.map(([, x, y, words]) => ({ x: Number(x), y: Number(y), words: words! }))
}

test('no words stand where curves may be, and what a reference line means is in the legend', (t) => {
  const html = renderPage(SETTING, finishedRuns(GOOD))
  const charts = html.match(/<svg class="chart"[^]*?<\/svg>/g)!
  t.is(charts.length, 3)
  for (const chart of charts) {
    const { left, right, top, bottom } = plotOf(chart)
    t.true(right - left > 300 && bottom - top > 200)
    const words = wordsOf(chart)
    t.true(words.length > 8)
    t.deepEqual(words.filter(({ x, y }) => x > left && x < right && y > top && y < bottom), []) // prettier-ignore
  }
  t.is(charts.filter((chart) => chart.includes('class="reference"')).length, 2)
  t.regex(html, /<li class="series is-reference">.*?<span>one point below the best \(96\.00\u00a0%\)<\/span>/)
  t.regex(html, /<li class="series is-reference">.*?<span>0\.25: identical gradients, Adasum is their average<\/span>/)
})

test('rates lie evenly on their axis, whose ticks they are', (t) => {
  const chart = /<svg class="chart"[^]*?<\/svg>/.exec(renderPage(SETTING, finishedRuns(GOOD)))![0]
  const places = RATES.map((rate) => wordsOf(chart).find(({ words }) => words === String(rate))!.x)
  const gaps = places.slice(1).map((place, index) => place - places[index]!)
  t.true(Math.max(...gaps) - Math.min(...gaps) < 0.3 && gaps[0]! > 50, gaps.join(' '))
  const first = /<g class="series op-average">[^]*?<circle cx="([\d.]+)"/.exec(chart)![1]
  t.is(Number(first), places[0]!)
})

test('the table can be scrolled where it does not fit, by the keyboard, too, and says so on a phone', (t) => {
  const html = renderPage(SETTING, finishedRuns(GOOD))
  t.regex(html, /<p class="hint">[^<]*scroll it sideways[^<]*<\/p><div class="wide"[^>]* tabindex="0">/)
  t.regex(html, /\.hint \{ display: none; \}[^]*@media \(max-width: 640px\) \{[^]*\.hint \{ display: block; \}/)
})

test('the page of runs that diverged at their first step is whole, too', (t) => {
  const failed = { diverged: true, accuracy: NaN, loss: NaN, orthogonality: [], steps: 1 }
  const runs = finishedRuns(everywhere(failed), { alone: failed, ranks: failed })
  runs.alone.curve.length = runs.ranks.curve.length = 0
  const html = renderPage(SETTING, runs)
  t.notThrows(() => countTags(html.replace('<!doctype html>', '')))
  t.notRegex(html, /NaN|undefined|Infinity/)
  t.regex(html, /diverged/)
  t.regex(html, /No operator learns anything at any of the 5 learning rates/)
})

test('curves are smoothed symmetrically and ticks are round', (t) => {
  t.deepEqual(smooth([3]), [[1, 3]])
  const ramp = smooth(Array.from({ length: 30 }, (_, i) => i))
  t.deepEqual(ramp[14], [15, 14])
  t.deepEqual(ramp[0], [1, 1])
  t.deepEqual(evenTicks(60_000), [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000])
  t.deepEqual(evenTicks(234), [0, 50, 100, 150, 200])
  t.deepEqual(evenTicks(50.3), [0, 10, 20, 30, 40, 50])
  t.deepEqual(evenTicks(1), [0, 1])
  t.deepEqual(evenTicks(0), [0])
})

test('the rate of one worker is that to which the README’s sweep leads', (t) => {
  const readme = readFileSync(join(EXAMPLE, 'README.md'), 'utf8')
  const rows = [...readme.matchAll(/^\| *([0-9.]+) \|.*\| *([\d.]+) % *\|$/gm)]
  t.true(rows.length >= 5)
  const best = Math.max(...rows.map(([, , mean]) => Number(mean)))
  const [first] = rows.filter(([, , mean]) => Number(mean) === best)
  t.is(OWN_RATE, Number(first![1]))
})
