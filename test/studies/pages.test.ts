/** Pages of studies: what they are replayed from, where runs are missing, and that nothing else decides their bytes. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import prettier from 'prettier'
import { appendLine, keyOf } from '../../studies/engine/results-file.ts'
import type { Setting, Study } from '../../studies/engine/study.ts'
import { type Chart, render } from '../../studies/pages/charts/render.ts'
import { isComplete } from '../../studies/pages/figures.ts'
import { isMade, pagesOf, withList } from '../../studies/pages/pages.ts'
import { replay } from '../../studies/pages/replay.ts'
import { type Results, readResults } from '../../studies/pages/results.ts'
import { STUDIES } from '../../studies/questions/index.ts'
import type { Cell, Result } from '../../studies/training/cell.ts'
import { fc, runsOf } from '../_property.ts'
import { proseProblemsOf } from '../docs/_prose.ts'
import { resultOf, resultsFor, without } from './_made-up.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const studyOf = (name: string): Study => STUDIES.find((each) => each.name === name)!
const PLAIN = studyOf('plain')

/** Everything of a setting but what it came to. */
const placeOf = ({ part, model, optimizer, op, of, workers }: Setting): string =>
  keyOf({ part, model, optimizer, op, of, workers })

for (const study of STUDIES)
  test(`${study.name}: a replay of all results says what the study says`, async (t) => {
    const own = await study.run({ quick: false, run: async (cells) => cells.map(resultOf) })
    const { settings, findings, missing, runs } = await replay(study, await resultsFor(study, false))
    t.deepEqual({ settings, findings }, own)
    t.is(missing, 0)
    t.true(runs.length > 0 && settings.every(isComplete))
  })

test('a final run that is missing takes its own settings out, and no other', async (t) => {
  const results = await resultsFor(PLAIN, false)
  const whole = await replay(PLAIN, results)
  const setting = whole.settings.find(({ part, op }) => part === 'best rate' && op === 'damped')!
  const isMeant = ({ op, rate, seed, split }: Cell): boolean =>
    split === 'test' && op === 'damped' && rate === setting.rate && seed === setting.seeds[1]
  const { settings, missing } = await replay(PLAIN, without(results, isMeant))
  t.is(missing, 1)
  const incomplete = settings.filter((each) => !isComplete(each))
  t.deepEqual([...new Set(incomplete.map(({ op, rate, missing: count }) => `${op} ${rate} ${count}`))], [`damped ${setting.rate} 1`]) // prettier-ignore
  t.true(incomplete.every(({ mean, interval }) => Number.isNaN(mean) && interval!.every(Number.isNaN)))
  const others = settings.filter(isComplete)
  t.deepEqual(others, whole.settings.filter((each) => others.some((other) => placeOf(other) === placeOf(each)))) // prettier-ignore
  t.is(others.length + incomplete.length, whole.settings.length)
})

test('a run of a grid that is missing makes the best rate unknown, and what was run at it, but not one worker’s rate', async (t) => {
  const results = await resultsFor(PLAIN, false)
  const isOfGrid = ({ op, split, workers }: Cell): boolean => op === 'damped' && split === 'validation' && workers !== 1
  let count = 0
  const { settings, missing } = await replay(PLAIN, without(results, (cell) => isOfGrid(cell) && count++ === 2)) // prettier-ignore
  const ofDamped = settings.filter(({ op }) => op === 'damped')
  t.deepEqual(ofDamped.map(({ part, rate }) => [part, Number.isNaN(rate)]), [['best rate', true], ["one worker's rate", false]]) // prettier-ignore
  t.deepEqual(ofDamped.map(isComplete), [false, true])
  t.is(ofDamped[0]!.missing, ofDamped[0]!.seeds.length)
  // The run of the grid, and those of the best rate.
  t.is(missing, 1 + ofDamped[0]!.seeds.length)
  t.true(settings.filter(({ op }) => op !== 'damped').every(isComplete))
})

test('without one worker’s grid nothing is known; without any result nothing, too', async (t) => {
  const results = await resultsFor(PLAIN, false)
  const isOne = ({ workers, split }: Cell): boolean => workers === 1 && split === 'validation'
  for (const left of [without(results, isOne), without(results, () => true)]) {
    const { settings, missing } = await replay(PLAIN, left)
    t.true(settings.length > 10 && missing > 10)
    t.false(settings.some(isComplete))
  }
})

const OPERATORS = studyOf('operators')
const COMPLETE = resultsFor(OPERATORS, true)

test('whatever is missing, a setting is either what it is with all runs, or not complete', async (t) => {
  const whole = new Map((await replay(OPERATORS, await COMPLETE, true)).settings.map((each) => [placeOf(each), each]))
  const property = fc.asyncProperty(fc.integer(), fc.double({ min: 0, max: 0.3, noNaN: true }), async (salt, share) => {
    const isLeftOut = (cell: Cell): boolean => hashOf(`${salt} ${keyOf(cell)}`) < share
    const { settings, missing } = await replay(OPERATORS, without(await COMPLETE, isLeftOut), true)
    for (const each of settings.filter(isComplete)) t.deepEqual(each, whole.get(placeOf(each)))
    t.is(settings.length, whole.size)
    t.is(missing === 0, settings.every(isComplete))
  })
  await fc.assert(property, { numRuns: runsOf(100) })
})

/** From 0 to 1. */
function hashOf(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32
}

function folderOf(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-pages-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('results are read of all studies, without the line that was cut off; a page says whose runs it took over', async (t) => {
  const folder = folderOf(t)
  t.is(readResults(join(folder, 'nowhere')).runs.size, 0)
  const { runs, machines } = await resultsFor(PLAIN, false)
  const all = [...runs.values()]
  const write = (name: string, part: typeof all): void => {
    appendLine(join(folder, `${name}.jsonl`), { machine: machines.get('plain')![0]! })
    for (const { cell, result } of part) appendLine(join(folder, `${name}.jsonl`), { cell, result })
  }
  write('plain', all.slice(3))
  write('emulation', all.slice(0, 3))
  appendLine(join(folder, 'plain.jsonl'), { processes: { workers: 4, op: 'adasum', of: 'deltas', equal: false } })
  writeFileSync(join(folder, 'plain.jsonl'), '{"cell":{"seed', { flag: 'a' })
  writeFileSync(join(folder, 'notes.txt'), 'no results\n')
  const results = readResults(folder)
  t.deepEqual([...results.runs.values()].filter(({ madeBy }) => madeBy === 'emulation').length, 3)
  t.is((await replay(PLAIN, results)).missing, 0)
  const { files } = await pagesOf(results)
  t.regex(files.get('plain.md')!, /taken over were 3 of emulation\./)
  t.regex(files.get('plain.md')!, /^- 4 processes of their own, with adasum of deltas, \*\*came to other bits/m)
  t.is(readResults(folder, (name) => name === 'emulation.jsonl').runs.size, 3)
})

/** The results of all studies together, as they lie in the folder. */
async function allResults(quick: boolean, of?: (cell: Cell) => Result): Promise<Results> {
  const each = await Promise.all(STUDIES.map((study) => resultsFor(study, quick, of)))
  return {
    runs: new Map(each.flatMap(({ runs }) => [...runs])),
    machines: new Map(each.flatMap(({ machines }) => [...machines])),
    comparisons: new Map(each.flatMap(({ comparisons }) => [...comparisons])),
  }
}

const EVERYTHING = allResults(false)

test('the same results give the same bytes, in whatever order they were made', async (t) => {
  const results = await EVERYTHING
  const [one, other] = [
    await pagesOf(results),
    await pagesOf({ ...results, runs: new Map([...results.runs].reverse()) }),
  ]
  t.deepEqual([...one.files.keys()], [...other.files.keys()])
  for (const [name, text] of one.files) t.true(text === other.files.get(name), name)
  t.is(one.list, other.list)
})

test('pages have charts that are there, words that are whole, and the form of the other documents', async (t) => {
  const { files } = await pagesOf(await EVERYTHING)
  const pages = [...files].filter(([name]) => name.endsWith('.md'))
  t.deepEqual(pages.map(([name]) => name).sort(), STUDIES.map(({ name }) => `${name}.md`).sort()) // prettier-ignore
  const shown: string[] = []
  for (const [name, text] of pages) {
    shown.push(...[...text.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)].map(([, file]) => file!))
    t.notRegex(text, /NaN|undefined|\[object|unknown/, name)
    t.deepEqual(proseProblemsOf(text), [], name)
    const options = { ...(await prettier.resolveConfig(ROOT)), parser: 'markdown' }
    t.is(await prettier.format(text, options), text, name)
    t.true(isMade(name))
  }
  const charts = [...files.keys()].filter((name) => name.endsWith('.svg'))
  t.deepEqual(shown.sort(), charts.sort())
  t.true(charts.length >= 15 && charts.every(isMade))
  t.false(isMade('predictions.md') || isMade('operators-notes.txt'))
})

test('charts answer to light and dark pages, and say nothing that is no number', async (t) => {
  const { files } = await pagesOf(await EVERYTHING)
  for (const [name, svg] of [...files].filter(([file]) => file.endsWith('.svg'))) {
    t.regex(svg, /^<svg [^>]*><style>@media \(prefers-color-scheme:dark\)\{/, name)
    t.notRegex(svg, /NaN|undefined|Infinity/, name)
    t.regex(svg, /<path /, name)
    t.notRegex(svg, / (d|transform)="[^"]*\.\d{3}/, name)
    t.true(svg.length < 400_000, `${name}: ${svg.length} bytes`)
  }
})

test('pages can be made of whatever has been run, and of runs that diverged', async (t) => {
  const results = await allResults(true)
  for (const share of [0.1, 0.5, 0.95]) {
    const { files } = await pagesOf(
      without(results, (cell) => hashOf(`${share} ${keyOf(cell)}`) < share),
      true,
    )
    t.true(files.size > 0, `${share} is missing`)
  }
  const diverged = (cell: Cell): Result => ({
    ...resultOf(cell),
    ...{ accuracy: 0.1, loss: null, diverged: true },
    // As JSON has what is no number.
    ...(cell.isLogged && { log: [] }),
    ...(cell.keepsLosses && { losses: [2.3, null as unknown as number] }),
    ...(cell.task === 'emulation' && { emulation: [] }),
  })
  const { files } = await pagesOf(await allResults(true, diverged), true)
  t.true(files.size >= STUDIES.length)
})

test('a chart that Vega only warns of is an error', async (t) => {
  const axis = { format: '.NaN%' }
  const spec: Chart['spec'] = {
    data: { values: [{ a: 1 }, { a: 2 }] },
    mark: 'point',
    encoding: { x: { field: 'a', type: 'quantitative', axis } },
  }
  await t.throwsAsync(render({ name: 'of a mistake', title: '', caption: '', spec }), {
    message: /the chart of a mistake: .*invalid format/,
  })
})

test('a study that has not ended says so, and which settings are complete', async (t) => {
  const results = await resultsFor(PLAIN, false)
  const { files, list } = await pagesOf(without(results, ({ op, split }) => op === 'damped' && split === 'test'))
  const page = files.get('plain.md')!
  t.regex(page, /\*\*This study has not ended\.\*\* Complete are \d+ of \d+ settings; at least [24] runs are missing\./)
  const [, complete, incomplete] = /## Settings\n([^#]*)## Settings that are not complete\n([^#]*)/.exec(page)!
  t.notRegex(complete!, /damped/)
  t.is(incomplete!.match(/damped of deltas.* 0 of 2 /g)?.length, 2)
  t.notRegex(incomplete!, /average/)
  t.notRegex(page, /What follows from the settings/)
  t.regex(list, /\| \[plain\]\(studies\/plain\.md\) +\| not finished; none +\|/)
})

test('with no results there is no page, and the list says so', async (t) => {
  const { files, list } = await pagesOf({ runs: new Map(), machines: new Map(), comparisons: new Map() })
  t.is(files.size, 0)
  t.is(list.match(/not run yet/g)?.length, STUDIES.length - 1)
})

test('the list stands between its marks', async (t) => {
  const marks = ['<!-- The table is made by `npm run study:pages`. -->', '<!-- The end of the table. -->'] as const
  const document = `before\n\n${marks[0]}\n\nold\n\n${marks[1]}\n\nbehind\n`
  t.is(withList(document, 'new'), document.replace('old', 'new'))
  t.throws(() => withList('no marks', 'new'), { message: /lacks the marks/ })
  t.throws(() => withList(marks[0], 'new'), { message: /lacks the marks/ })
})
