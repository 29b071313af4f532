/** The example as people run it, on few images: its output, and that nothing is left of it however it ends. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { type Config, EXAMPLE, ROOT, load } from './_mnist.ts'

const { OPS, RATES } = await load<Config>('config.mjs')

const MAIN = join(EXAMPLE, 'main.mjs')
const ENDS_WITHIN_MS = 10_000

test.before('what was compiled yesterday would say nothing', () => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'typescript'], { stdio: 'inherit' })
})

interface Example {
  child: ChildProcess
  page: string
  stdout: string
  stderr: string
  ended: Promise<{ code: number | null; signal: string | null }>
}

/** Starts the example in an environment without colours or a place in some world. */
function start(t: ExecutionContext, args: string[]): Example {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-mnist-'))
  const page = join(folder, 'report.html')
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(ADASUM_|.*_COLOR$)/.test(name)))
  const child = spawn(process.execPath, [MAIN, '--page', page, ...args], { env, cwd: ROOT })
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  )
  const example: Example = { child, page, stdout: '', stderr: '', ended }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (example.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (example.stderr += text))
  t.teardown(() => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  return example
}

/** Process ids of the ranks that the example has started. */
function ranksOf({ child }: Example): number[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n')
  return lines
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
    .filter(([, , parent, command]) => Number(parent) === child.pid && command!.includes('rank.mjs'))
    .map(([, pid]) => Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    // Without a parent that waits for it, a dead process stays in the table until init does: it counts as dead.
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
  } catch {
    return false
  }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const begin = Date.now(); !condition(); await sleep(50))
    if (Date.now() - begin > 2 * ENDS_WITHIN_MS) throw new Error(`waited in vain until ${what}`)
}

/** Starts a long run and waits until its ranks train. */
async function startTraining(t: ExecutionContext): Promise<{ example: Example; ranks: number[] }> {
  const example = start(t, [])
  await until(() => example.stdout.includes('img/s'), 'the ranks train')
  const ranks = ranksOf(example)
  t.is(ranks.length, 4)
  return { example, ranks }
}

test.serial('--json: one line on stdout, the rest on stderr, seventeen runs on real processes', async (t) => {
  const example = start(t, ['--json', '--examples', '1100', '--seed', '7'])
  t.deepEqual(await example.ended, { code: 0, signal: null }, example.stderr)
  t.regex(example.stdout, /^\{.*\}\n$/)
  const report = JSON.parse(example.stdout) as Report
  t.deepEqual(Object.keys(report), [
    ...['worldSize', 'logicalWorkers', 'rates', 'withinOnePoint', 'epoch'],
    'weightsEqual',
  ])
  t.like(report, { worldSize: 4, logicalWorkers: 16, weightsEqual: true })
  const wanted = RATES.flatMap((learningRate) => OPS.map((op) => ({ op, learningRate })))
  t.deepEqual(
    report.rates.map(({ op, learningRate }) => ({ op, learningRate })),
    wanted,
  )
  const { alone, ranks } = report.epoch
  for (const { accuracy } of [...report.rates, alone, ranks])
    t.true(accuracy > 0 && accuracy < 1 && Number.isInteger(Math.round(accuracy * 1e8) / 1e4), `${accuracy}`)
  t.true(new Set(report.rates.map(({ accuracy }) => accuracy)).size > 10, 'the runs are not the same one')
  t.true(alone.seconds > 0 && ranks.seconds > 0)
  t.deepEqual(Object.keys(report.withinOnePoint), OPS)
  checkTerminal(t, example.stderr)
  t.regex(readFileSync(example.page, 'utf8'), /<\/html>$/)
})

function checkTerminal(t: ExecutionContext, text: string): void {
  // eslint-disable-next-line no-control-regex -- that is what is looked for
  t.notRegex(text, /\x1b/)
  t.regex(text, /^machine +(scalar|avx2|avx512|neon), /m)
  t.regex(text, /^The same weights on all 4 ranks at the end of each of 16 runs, bit for bit: yes$/m)
  t.regex(text, /Only 1,024 of the 60,000 training images. Leave out --examples/)
  t.notRegex(text, /Within one point of the best accuracy \(|times as/, 'one step says nothing about it')
  t.regex(text, /^Runs of 1 step are too short to compare learning rates or operators; .*\.$/m)
  const rows = text
    .match(/^ *0\.\d+ {2}(average|sum|Adasum|one process) .*$/gm)!
    .filter((row) => row.includes('–') || row.includes('MB'))
  t.is(rows.length, 17)
  // All sixteen workers take one step of 16 images each; in the epoch four, and the one process alone sixteen times as many.
  t.is(rows.filter((row) => /^ *\S+ +\w+ +256 +1 /.test(row)).length, 15)
  t.regex(rows[15]!, /one process +1,024 +64 /)
  t.regex(rows[16]!, /Adasum +1,024 +4 /)
  // Each rank sends three of four slices twice a step: to be combined, and combined.
  t.regex(rows[0]!, / 1 MB/)
}

interface Timed {
  seconds: number
  accuracy: number
}

interface Report {
  worldSize: number
  logicalWorkers: number
  rates: { op: string; learningRate: number; accuracy: number }[]
  withinOnePoint: Record<string, number>
  epoch: { alone: Timed; ranks: Timed }
  weightsEqual: boolean
}

test.serial('a rank that dies ends the run: who it was, exit code 1, nothing left', async (t) => {
  const { example, ranks } = await startTraining(t)
  process.kill(ranks[2]!, 'SIGKILL')
  t.deepEqual(await example.ended, { code: 1, signal: null })
  t.regex(example.stderr, /^examples\/mnist: rank \d was ended by SIGKILL\.$/m)
  await until(() => !ranks.some(isAlive), 'no rank is left')
  t.false(existsSync(example.page))
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test.serial(`${signal} ends everything`, async (t) => {
    const { example, ranks } = await startTraining(t)
    example.child.kill(signal)
    t.deepEqual(await example.ended, { code, signal: null })
    await until(() => !ranks.some(isAlive), 'no rank is left')
  })
}

test.serial('the ranks end when the parent is killed', async (t) => {
  const { example, ranks } = await startTraining(t)
  example.child.kill('SIGKILL')
  await until(() => !ranks.some(isAlive), 'no rank is left')
  t.pass()
})

test('what the command line cannot mean is said, with exit code 2', async (t) => {
  const cases: [args: string[], message: RegExp][] = [
    [['--fast'], /Unknown option '--fast'/],
    [['file'], /Unexpected argument 'file'/],
    [['--ranks', '1'], /--ranks is 1; it must be a whole number from 2 to 16/],
    [['--examples', '1e9'], /--examples is 1e9/],
    [['--quick', '--examples', '512'], /either --quick or --examples/],
    [['--seed'], /--seed/],
  ]
  for (const [args, message] of cases) {
    const example = start(t, args)
    t.deepEqual(await example.ended, { code: 2, signal: null })
    t.regex(example.stderr, message)
    t.is(example.stdout, '')
  }
})

test('--help says what there is', async (t) => {
  const example = start(t, ['--help'])
  t.deepEqual(await example.ended, { code: 0, signal: null })
  for (const option of ['--quick', '--examples', '--ranks', '--seed', '--json', '--page'])
    t.true(example.stdout.includes(option))
})
