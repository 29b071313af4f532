// Runs a study, or lists them: `npm run study -- NAME [--quick] [--resume] [--json]`. docs/studies.md has the rules.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { markdownTable } from '../bench/lib/markdown-table.mjs'
import { wholeNumber } from '../scripts/lib/options.mjs'
import { estimate } from './engine/estimate.ts'
import { Progress, timeText } from './engine/progress.ts'
import { ROOT, Session } from './engine/session.ts'
import type { Comparison, Outcome, Setting, Study } from './engine/study.ts'
import { STUDIES } from './questions/index.ts'

const HELP = `usage: npm run study -- NAME [options]
       npm run study -- list

  NAME           ${STUDIES.map(({ name }) => name).join(', ')}
  --quick        everything small: a look at whether it runs, in at most two minutes
  --resume       takes what has been run before, and goes on
  --json         the last line is {"study","settings",...}
  --processes N  as many at once (default: one a core)
  --results DIR  folder of the files with results (default studies/results; with --quick .tools/studies)
`

try {
  await main()
} catch (error) {
  process.stderr.write(`study: ${(error as Error).message}\n`)
  process.exitCode = 1
}

async function main(): Promise<void> {
  const flag = { type: 'boolean', default: false } as const
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ quick: flag, resume: flag, json: flag, help: flag },
      processes: { type: 'string', default: String(availableParallelism()) },
      results: { type: 'string' },
    },
  })
  const processes = wholeNumber('--processes', values.processes)
  const [name, ...more] = positionals
  if (values.help || name === undefined) return void process.stdout.write(HELP)
  if (more.length > 0) throw new Error(`one study at a time; there are ${positionals.join(', ')}.`)
  if (name === 'list') return list(processes)
  const study = STUDIES.find((each) => each.name === name)
  if (study === undefined) throw new Error(`there is no study ${name}; there are ${STUDIES.map((each) => each.name).join(', ')}.`) // prettier-ignore
  const { quick, resume } = values
  const folder = values.results ?? join(ROOT, ...(quick ? ['.tools', 'studies'] : ['studies', 'results']))
  await run(study, { quick, resume, processes, folder }, values.json)
}

async function list(processes: number): Promise<void> {
  const rows = await Promise.all(
    STUDIES.map(async (study) => ({
      study,
      full: await estimate(study, false),
      quick: await estimate(study, true),
    })),
  )
  const table = markdownTable<(typeof rows)[number]>(
    [
      ['study', ({ study }) => study.name],
      ['question', ({ study }) => study.question],
      ['runs', ({ full }) => String(full.cells)],
      [`hours in ${processes} processes`, ({ full }) => (full.seconds / processes / 3600).toFixed(2)],
      ['--quick', ({ quick }) => timeText(quick.seconds / processes)],
    ],
    ['study', 'question'],
    rows,
  )
  process.stdout.write(`${table}\n`)
}

async function run(
  study: Study,
  options: { quick: boolean; resume: boolean; processes: number; folder: string },
  isJson: boolean,
): Promise<void> {
  const { seconds } = await estimate(study, options.quick)
  const progress = new Progress(process.stderr, study.name, seconds)
  progress.say(`about ${timeText(seconds / options.processes)} in ${options.processes} processes`)
  const session = await Session.open(study, options, progress)
  try {
    const outcome = await study.run(session)
    const processes = await compare(study, session)
    session.note({ processes })
    session.close()
    if (isJson) process.stdout.write(`${JSON.stringify({ study: study.name, ...outcome, processes })}\n`)
    else process.stdout.write(textOf(outcome, processes))
    if (!processes.equal) throw new Error('processes of their own came to other weights than simulated workers.')
  } finally {
    session.close()
  }
}

async function compare(study: Study, session: Session): Promise<Comparison> {
  const cell = study.processCell(session.quick)
  const [simulated] = await session.run([cell])
  const real = await session.runByProcesses(cell)
  const { workers, op, of } = cell
  return { workers, op, of, equal: real.sha256 === simulated!.sha256 }
}

function textOf({ settings, findings }: Outcome, processes: Comparison): string {
  const number = (value: number): string => String(Number(value.toPrecision(4)))
  const interval = (ends: readonly [number, number] | null | undefined): string => ends?.map(number).join(' to ') ?? ''
  const table = markdownTable<Setting>(
    [
      ['part', ({ part }) => part],
      ['optimizer', ({ optimizer }) => optimizer],
      ['curve', ({ op, of }) => `${op} of ${of}`],
      ['workers', ({ workers }) => String(workers)],
      ['rate', ({ rate }) => number(rate)],
      ['measure', ({ measure }) => measure],
      ['mean', ({ mean }) => number(mean)],
      ['95 % interval', (setting) => interval(setting.interval)],
      ['diverged', ({ diverged, seeds }) => `${diverged} of ${seeds.length}`],
      ['inside grid', ({ bestInsideGrid }) => (bestInsideGrid === null ? '' : bestInsideGrid ? 'yes' : 'NO')],
    ],
    ['part', 'optimizer', 'curve', 'measure'],
    settings,
  )
  const lines = findings.map((finding) => {
    const mean = typeof finding.mean === 'number' ? number(finding.mean) : finding.mean
    return `- ${finding.name}: ${mean}${finding.interval ? ` (${interval(finding.interval)})` : ''}`
  })
  const words = processes.equal ? 'the same bits' : 'OTHER BITS'
  const check = `${String(processes.workers)} processes, ${processes.op} of ${processes.of}: ${words} as simulated workers.`
  return `${table}\n\n${lines.join('\n')}\n\n${check}\n`
}
