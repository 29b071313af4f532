/** The engine of the studies: statistics, the grid, and results that survive a kill. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { estimate } from '../../studies/engine/estimate.ts'
import { chooseRate, range } from '../../studies/engine/grid.ts'
import { Progress } from '../../studies/engine/progress.ts'
import { appendLine, keyOf, openResults, readLines, resultsIn } from '../../studies/engine/results-file.ts'
import { slopeOf, studentQuantile, summarize, summarizePairs } from '../../studies/engine/statistics.ts'
import { STUDIES } from '../../studies/questions/index.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

test('Student’s quantiles are those of the tables', (t) => {
  const known = [
    [0.95, 1, 12.7062047],
    [0.95, 2, 4.3026527],
    [0.95, 3, 3.1824463],
    [0.95, 4, 2.7764451],
    [0.95, 9, 2.2621572],
    [0.99, 5, 4.032143],
    [0.9, 30, 1.6972609],
    [0.95, 1000, 1.9623391],
  ] as const
  for (const [confidence, degrees, wanted] of known)
    t.true(Math.abs(studentQuantile(confidence, degrees) - wanted) < 1e-6, `${confidence}, ${degrees}`)
  t.throws(() => studentQuantile(0.95, 0), { message: /degrees 0/ })
  t.throws(() => studentQuantile(1, 3), { message: /confidence 1/ })
})

test('mean and interval: by hand, and nothing is said of one value', (t) => {
  const { mean, interval } = summarize([1, 2, 3, 4])
  t.is(mean, 2.5)
  // The standard deviation is sqrt(5/3), the quantile 3.18244630528.
  const half = (3.18244630528 * Math.sqrt(5 / 3)) / 2
  t.true(Math.abs(interval![0] - (2.5 - half)) < 1e-9 && Math.abs(interval![1] - (2.5 + half)) < 1e-9)
  t.deepEqual(summarize([7]), { mean: 7, interval: null })
})

test('what a seed does to both settings cancels in pairs', (t) => {
  t.deepEqual(summarizePairs([11, 22, 33], [10, 21, 32]), { mean: 1, interval: [1, 1] })
  t.throws(() => summarizePairs([1], [1, 2]), { message: /1 and 2 values/ })
  t.is(slopeOf([[0, 1], [1, 3], [2, 5]]), 2) // prettier-ignore
})

/** The rates that are asked for, if the best exponent is `best`. */
async function grownTo(
  best: number,
  exponents: number[],
): Promise<{ rate: number; insideGrid: boolean; asked: number[] }> {
  const asked: number[] = []
  const choice = await chooseRate(0.01, exponents, async (rates) => {
    asked.push(...rates.map((rate) => Math.round(Math.log2(rate / 0.01))))
    return rates.map((rate) => -Math.abs(Math.log2(rate / 0.01) - best))
  })
  return { ...choice, asked }
}

test('a grid grows until the best rate has neighbours on both sides, and no further', async (t) => {
  for (const [best, wanted] of [
    [0, [-1, 0, 1]],
    [3, [-1, 0, 1, 2, 3, 4]],
    [-2, [-1, 0, 1, -2, -3]],
    [1, [-1, 0, 1, 2]],
  ] as const) {
    // prettier-ignore
    const { rate, insideGrid, asked } = await grownTo(best, range(-1, 1))
    t.is(rate, 0.01 * 2 ** best)
    t.true(insideGrid)
    t.deepEqual(asked, [...wanted])
  }
})

test('a grid without a best rate ends, and says so; runs that diverge are worst', async (t) => {
  t.false((await grownTo(1000, range(0, 2))).insideGrid)
  const choice = await chooseRate(1, range(0, 2), async (rates) => rates.map((rate) => (rate > 1 ? NaN : -rate)))
  t.false(choice.insideGrid, 'smaller is better without end')
  t.true(choice.rate < 1)
  const flat = await chooseRate(1, range(-1, 1), async (rates) => rates.map((rate) => (rate === 2 ? NaN : 1)))
  t.true(flat.rate < 0.5, 'of equals the lower one, which lies on the edge')
})

test('a key does not depend on the order of fields, and on nothing else', (t) => {
  t.is(keyOf({ b: 1, a: { d: [1, 2], c: undefined } }), keyOf({ a: { d: [1, 2] }, b: 1 }))
  t.not(keyOf({ a: [1, 2] }), keyOf({ a: [2, 1] }))
  t.not(keyOf({ a: 1 }), keyOf({ a: 1, b: 0 }))
})

function folderOf(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-studies-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('wherever a file was cut off, the whole lines remain, and new ones follow them', (t) => {
  const path = join(folderOf(t), 'a.jsonl')
  const lines = range(1, 5).map((seed) => ({ cell: { seed, text: 'ä'.repeat(seed) }, result: { accuracy: seed / 10 } }))
  for (const line of lines) appendLine(path, line)
  const bytes = readFileSync(path)
  for (let length = 0; length <= bytes.length; length++) {
    writeFileSync(path, bytes)
    truncateSync(path, length)
    const whole = bytes.subarray(0, length).filter((byte) => byte === 10).length
    openResults(path, true)
    appendLine(path, { cell: { seed: 9 }, result: { accuracy: 1 } })
    t.deepEqual(readLines(path).slice(0, -1), lines.slice(0, whole))
    t.is(resultsIn([path]).size, whole + 1)
  }
  openResults(path, false)
  t.false(existsSync(path))
  writeFileSync(path, '{"cell":{}}\nno JSON\n')
  t.throws(() => readLines(path), { message: /line 2 is no JSON/ })
})

interface Printed {
  study: string
  settings: {
    part: string
    seeds: number[]
    mean: number
    interval: [number, number] | null
    bestInsideGrid: boolean | null
  }[]
  processes: { equal: boolean }
}

function start(folder: string, ...options: string[]): { child: ChildProcess; ended: Promise<Printed | undefined> } {
  const program = [
    '--import=tsx',
    join('studies', 'main.ts'),
    'plain',
    '--quick',
    '--json',
    '--results',
    folder,
    ...options,
  ]
  const env = { ...process.env, NODE_OPTIONS: '' }
  const child = spawn(process.execPath, program, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, errors] = ['', '']
  child.stdout.on('data', (data: Buffer) => (output += data.toString()))
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
  const ended = new Promise<Printed | undefined>((resolve, reject) => {
    child.once('close', (code, signal) => {
      if (signal === 'SIGKILL') resolve(undefined)
      else if (code === 0) resolve(JSON.parse(output.trim().split('\n').at(-1)!) as Printed)
      else reject(new Error(`exit code ${code}: ${errors}`))
    })
  })
  return { child, ended }
}

const resultsOf = (path: string): object[] => readLines(path).filter(({ cell }) => cell !== undefined)

test('a study that is killed goes on where it was, and comes to the same', async (t) => {
  const [whole, killed] = [folderOf(t), folderOf(t)]
  const undisturbed = await start(whole).ended
  const all = resultsOf(join(whole, 'plain.jsonl'))

  const path = join(killed, 'plain.jsonl')
  for (const [attempt, count] of [5, 30].entries()) {
    const { child, ended } = start(killed, ...(attempt === 0 ? [] : ['--resume']))
    const timer = setInterval(() => {
      if (existsSync(path) && readFileSync(path, 'utf8').split('\n').length > count) child.kill('SIGKILL')
    }, 5)
    t.is(await ended, undefined)
    clearInterval(timer)
    // A kill in the middle of a write.
    writeFileSync(path, '{"cell":{"seed', { flag: 'a' })
  }
  const before = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  const resumed = await start(killed, '--resume').ended
  t.deepEqual(resumed, undisturbed)
  t.deepEqual(readFileSync(path, 'utf8').split('\n').slice(0, before.length), before)
  const keys = resultsOf(path).map((line) => keyOf((line as { cell: object }).cell))
  t.is(new Set(keys).size, keys.length, 'no cell was run twice')
  t.is(keys.length, all.length)
  t.is(readLines(path).filter(({ machine }) => machine !== undefined).length, 3)
  t.deepEqual(readLines(path).at(-1), { processes: resumed!.processes })

  const { study, settings, processes } = undisturbed!
  t.is(study, 'plain')
  t.true(settings.length > 10 && processes.equal)
  for (const { part, seeds, mean, interval, bestInsideGrid } of settings) {
    // Equality takes one seed, of which no interval can be said.
    t.is(seeds.length, part.includes('micro-batches') ? 1 : 2)
    if (seeds.length > 1) t.true(interval![0] <= mean && mean <= interval![1])
    else t.is(interval, null)
    t.true(bestInsideGrid === null || typeof bestInsideGrid === 'boolean')
  }
})

test('every study has an estimate, and the quick one is shorter', async (t) => {
  for (const study of STUDIES) {
    const [full, quick] = [await estimate(study, false), await estimate(study, true)]
    t.true(quick.cells > 5 && quick.seconds > 0 && quick.seconds < full.seconds / 10, study.name)
  }
  t.is(new Set(STUDIES.map(({ name }) => name)).size, STUDIES.length)
})

test('progress says how much is left, and what was there already does not count as work', (t) => {
  const progress = new Progress({ isTTY: false, write: () => true } as unknown as NodeJS.WriteStream, 'a study', 100)
  t.teardown(() => progress.close())
  t.regex(progress.line(), / 0 % {2}0 runs {2}0 s gone, unknown left/)
  progress.skip(50)
  const job = progress.begin(25)
  t.regex(progress.line(), / 50 % {2}0 runs .*unknown left/)
  job.update(0.4)
  t.regex(progress.line(), / 60 % /)
  job.done()
  t.regex(progress.line(), / 75 % {2}1 runs /)
  progress.begin(75).done()
  t.regex(progress.line(), / 100 % {2}2 runs .* 0 s left/)
})
