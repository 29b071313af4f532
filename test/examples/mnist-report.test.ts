import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { EXAMPLE, type Records, type Run, type Summary, finishedRun, finishedRuns, load } from './_mnist.ts'

interface Verdict {
  sentences: (summaries: Summary[], steps: number) => string[]
}

interface Table {
  tableRows: (summaries: Summary[]) => string[][]
  weightLines: (summaries: Summary[]) => string[]
}

interface Page {
  renderPage: (setting: object, runs: Run[]) => string
  smooth: (values: number[]) => [number, number][]
  evenTicks: (end: number) => number[]
}

interface Config {
  MODEST_RATE: number
  LARGE_RATE: number
  QUICK_EXAMPLES: number
  TRAIN_IMAGES: number
  stepsOf: (examples: number, processes: number) => number
}

const { summarize, record, createRun, isDone, toJson } = await load<Records>('records.mjs')
const { sentences } = await load<Verdict>('verdict.mjs')
const { tableRows, weightLines } = await load<Table>('table.mjs')
const { renderPage, smooth, evenTicks } = await load<Page>('page.mjs')
const config = await load<Config>('config.mjs')

const SETTING = { title: 'A <title> & more', facts: [['machine', 'avx2']], notice: '', examples: 5120, ranks: 4 }
const FULL_STEPS = config.stepsOf(config.TRAIN_IMAGES, 4)
const QUICK_STEPS = config.stepsOf(config.QUICK_EXAMPLES, 4)

test('if Adasum does well, the sentences say so', async (t) => {
  const runs = await finishedRuns({
    0.005: { none: 0.9674, average: 0.9446, sum: 0.9706, adasum: 0.9661 },
    0.05: { none: 0.9813, average: 0.9762, sum: 0.0982, adasum: 0.9759 },
  })
  t.deepEqual(sentences(runs.map(summarize), FULL_STEPS), [
    'At learning rate 0.005 Adasum (96.6 %) keeps up with sum (97.1 %) and is ahead of average (94.5 %, 2.1 points); one process alone, in 80 steps instead of 20, reaches 96.7 %.',
    'At learning rate 0.05 Adasum (97.6 %) keeps up with average (97.6 %) and is ahead of sum (9.8 %, as good as guessing); one process alone, in 80 steps instead of 20, reaches 98.1 %.',
  ])
})

test('if it does not, they say that', async (t) => {
  const runs = await finishedRuns({
    0.005: { none: 0.97, average: 0.968, sum: 0.9706, adasum: 0.96 },
    0.05: { none: 0.11, average: 0.9762, sum: 0.97, adasum: 0.1135 },
  })
  t.deepEqual(sentences(runs.map(summarize), FULL_STEPS), [
    'At learning rate 0.005 Adasum (96.0 %) keeps up with average (96.8 %) and falls behind sum (97.1 %, 1.1 points); one process alone, in 80 steps instead of 20, reaches 97.0 %.',
    'At learning rate 0.05 Adasum fails (11.3 %) and falls behind sum (97.0 %, 85.7 points) and average (97.6 %, 86.3 points); one process alone, in 80 steps instead of 20, fails (11.0 %).',
  ])
})

test('of a quick run the sentences say whether it works, and compare nothing', async (t) => {
  t.deepEqual([FULL_STEPS, QUICK_STEPS], [235, 47])
  const runs = await finishedRuns({
    0.005: { none: 0.93, average: 0.55, sum: 0.9, adasum: 0.8 },
    0.05: { none: 0.97, average: 0.94, sum: 0.11, adasum: 0.93 },
  })
  const why =
    '47 steps are too few to compare learning rates or ways of combining; four ranks have 235 in a full epoch.'
  t.deepEqual(sentences(runs.map(summarize), QUICK_STEPS), [
    'The 4 ranks ended each of their 6 runs with the same weights, bit for bit; of all 8 runs 7 do better than guessing.',
    why,
  ])
  runs.find(({ op }) => op === 'adasum')!.done[1]!.sha256 = 'cd'.repeat(32)
  t.deepEqual(sentences(runs.map(summarize), QUICK_STEPS), [
    'The 4 ranks ended only 5 of their 6 runs with the same weights, bit for bit; of all 8 runs 7 do better than guessing.',
    why,
  ])
})

test('the table is sorted by rate, then one process, average, sum, Adasum', async (t) => {
  const ops = ['adasum', 'sum', 'none', 'average']
  const runs = await Promise.all([0.05, 0.005].flatMap((rate) => ops.map((op) => finishedRun(op, rate))))
  const order = tableRows(runs.map(summarize)).map(([rate, name]) => `${rate} ${name}`)
  const names = ['one process', 'average', 'sum', 'Adasum']
  t.deepEqual(order, [...names.map((name) => `0.005 ${name}`), ...names.map((name) => `0.05 ${name}`)])
})

test('a run is summed up over its ranks', async (t) => {
  const summary = summarize(await finishedRun('adasum', 0.01))
  t.is(summary.seconds, 13)
  t.is(summary.bytesSent, 4e6)
  t.is(summary.communicationShare, 8 / (10 + 11 + 12 + 13))
  t.true(Math.abs(summary.orthogonality! - (0.25 + 9.5 / 40)) < 1e-12)
  t.true(summary.weightsEqual)
  const row = tableRows([summary])[0]
  t.deepEqual(row, ['0.01', 'Adasum', '4', '97.00 %', '20', '13.0', '17 %', '4 MB', '0.49', ''])
})

test('a run is done only when every rank has said so', async (t) => {
  const run = createRun({ op: 'sum', learningRate: 1 }, 2)
  record(run, 1, { type: 'done' })
  t.false(isDone(run))
  record(run, 0, { type: 'done' })
  t.true(isDone(run))
})

test('weights that differ on one rank are reported', async (t) => {
  const run = await finishedRun('sum', 0.005)
  t.deepEqual(weightLines([summarize(run)]), [
    '0.005  sum      same weights on all 4 ranks: yes (sha256 abababababababab)',
  ])
  run.done[2]!.sha256 = 'cd'.repeat(32)
  t.deepEqual(weightLines([summarize(run)]), ['0.005  sum      same weights on all 4 ranks: NO, they differ'])
})

test('the JSON line has the promised keys, null where orthogonality is not defined', async (t) => {
  const runs = [await finishedRun('adasum', 0.05), await finishedRun('none', 0.05)]
  const line = toJson({ ranks: 4, examples: 5120 }, runs.map(summarize))
  t.false(line.includes('\n'))
  const parsed = JSON.parse(line) as { runs: Record<string, unknown>[] }
  t.deepEqual(Object.keys(parsed), ['worldSize', 'examples', 'runs'])
  const keys = ['op', 'ranks', 'learningRate', 'accuracy', 'steps', 'seconds', 'bytesSent', 'orthogonality']
  for (const run of parsed.runs) t.deepEqual(Object.keys(run), [...keys, 'communicationShare', 'weightsEqual'])
  t.deepEqual(
    parsed.runs.map(({ op, orthogonality }) => [op, orthogonality === null]),
    [
      ['none', true],
      ['adasum', false],
    ],
  )
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

test('the page is well-formed, needs no network and shows every run', async (t) => {
  const runs = await finishedRuns({
    0.005: { none: 0.97, average: 0.968, sum: 0.9706, adasum: 0.96 },
    0.05: { none: 0.11, average: 0.9762, sum: 0.97, adasum: 0.1135 },
  })
  const html = renderPage(SETTING, runs)
  const counts = countTags(html.replace('<!doctype html>', ''))
  t.is(counts.get('figure'), 4)
  t.is(counts.get('tr'), 9)
  t.is([...html.matchAll(/<g class="series op-/g)].length, 8)
  t.is([...html.matchAll(/<g class="series layer-/g)].length, 10)
  t.notRegex(html, /https?:|\b(src|href)=|url\(|@import|<script|NaN|undefined|Infinity/)
  t.true(html.includes('A &lt;title&gt; &amp; more'))
  for (const examples of [SETTING.examples, config.TRAIN_IMAGES]) {
    const page = renderPage({ ...SETTING, examples }, runs).replaceAll('\u00a0', ' ')
    for (const sentence of sentences(runs.map(summarize), config.stepsOf(examples, 4))) t.true(page.includes(sentence))
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

test('no words stand where curves may be, and what a reference line means is in the legend', async (t) => {
  const runs = await finishedRuns({
    0.005: { none: 0.97, average: 0.968, sum: 0.9706, adasum: 0.96 },
    0.05: { none: 0.11, average: 0.9762, sum: 0.97, adasum: 0.1135 },
  })
  const html = renderPage(SETTING, runs)
  const charts = html.match(/<svg class="chart"[^]*?<\/svg>/g)!
  t.is(charts.length, 4)
  for (const chart of charts) {
    const { left, right, top, bottom } = plotOf(chart)
    t.true(right - left > 300 && bottom - top > 200)
    const words = wordsOf(chart)
    t.true(words.length > 8)
    t.deepEqual(words.filter(({ x, y }) => x > left && x < right && y > top && y < bottom), []) // prettier-ignore
  }
  t.is(charts.filter((chart) => chart.includes('class="reference"')).length, 2)
  t.regex(html, /<li class="series is-reference">.*?<span>0\.25: identical updates, Adasum is their average<\/span>/)
})

test('the table can be scrolled where it does not fit, by the keyboard, too, and says so on a phone', async (t) => {
  const html = renderPage(SETTING, [await finishedRun('adasum', 0.05)])
  t.regex(html, /<p class="hint">[^<]*scroll it sideways[^<]*<\/p><div class="wide"[^>]* tabindex="0">/)
  t.regex(html, /\.hint \{ display: none; \}[^]*@media \(max-width: 640px\) \{[^]*\.hint \{ display: block; \}/)
})

test('the page of a run that diverged at its first step is whole, too', async (t) => {
  const failed = { diverged: true, accuracy: 0.098, loss: NaN, orthogonality: [], steps: 1 }
  const ops = ['none', 'average', 'sum', 'adasum']
  const runs = await Promise.all([0.005, 0.05].flatMap((rate) => ops.map((op) => finishedRun(op, rate, failed))))
  const html = renderPage(SETTING, runs)
  t.notThrows(() => countTags(html.replace('<!doctype html>', '')))
  t.notRegex(html, /NaN|undefined|Infinity/)
  t.regex(html, /diverged/)
})

test('curves are smoothed symmetrically and ticks are round', (t) => {
  t.deepEqual(smooth([3]), [[1, 3]])
  const ramp = smooth(Array.from({ length: 30 }, (_, i) => i))
  t.deepEqual(ramp[14], [15, 14])
  t.deepEqual(ramp[0], [1, 2.5])
  t.deepEqual(evenTicks(60_000), [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000])
  t.deepEqual(evenTicks(235), [0, 50, 100, 150, 200])
  t.deepEqual(evenTicks(1), [0, 1])
  t.deepEqual(evenTicks(0), [0])
})

test('the rates are those that the README’s sweep leads to', (t) => {
  const readme = readFileSync(join(EXAMPLE, 'README.md'), 'utf8')
  const rows = [...readme.matchAll(/^\| *([0-9.]+) \|.*\| (yes|no) *\|$/gm)]
  const largest = Math.max(...rows.filter(([, , trainsWell]) => trainsWell === 'yes').map(([, rate]) => Number(rate)))
  t.is(config.LARGE_RATE, largest)
  t.is(config.MODEST_RATE, largest / 10)
})
