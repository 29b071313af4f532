/** What follows `adasum` on a command line, one word a line, up to the point where anything would be started. */
import { Command, CommanderError } from 'commander'
import { fileURLToPath } from 'node:url'
import { defineBench } from '../../../ts/src/cli/bench/command.ts'
import { type BenchOptions, planCases } from '../../../ts/src/cli/bench/cases.ts'
import { CommandError } from '../../../ts/src/cli/command-error.ts'
import { defineDoctor } from '../../../ts/src/cli/doctor/command.ts'
import { defineRun } from '../../../ts/src/cli/run/command.ts'
import { type LaunchPlan, planLaunch, type RunOptions } from '../../../ts/src/cli/run/plan.ts'
import { defineTimeline } from '../../../ts/src/cli/timeline/command.ts'
import { MAX_WORLD_SIZE } from '../../../ts/src/rendezvous/environment.ts'
import { refusal, ensure, type Target } from '../_target.ts'

const SCRIPT = fileURLToPath(import.meta.url)
const LARGEST_CASE = 8 * 2 ** 30
/** Without it the address towards another machine would be looked up. */
const ENVIRONMENT = { ADASUM_HOST: '127.0.0.1', ADASUM_SECRET: 's3cret' }

const LINES = [
  ['run', '-n', '4', '--only', '1', '--node-option=--expose-gc', SCRIPT, '--epochs', '3'],
  ['run', '-n', '2', '--nodes', '2', '--node', '1', '--store', '10.0.0.1:29500', '--listen', '0.0.0.0', SCRIPT],
  ['run', '--ranks', '2', '--gpus-per-rank', '1', '--host', '127.0.0.1', SCRIPT],
  ['bench', '-n', '2', '--op', 'sum,adasum', '--dtype', 'f32,f64', '--sizes', '1KiB,0.5MiB,1KB,1000', '--json'],
  ['bench', '--op', 'barrier,max', '--dtype', 'i32,u64', '--placement', 'out', '--iterations', '3'],
  ['bench', '--compress', 'none,int8', '--sizes', '32MiB', '--memory', 'heap', '--transport', 'tcp'],
  ['timeline', 'merge', 'a.json', 'b.json'],
  ['doctor', '--json'],
]

const isOfCommands = (error: unknown): boolean => error instanceof CommandError || error instanceof CommanderError

/** The commands as they are defined, but that what they would start is only planned. */
function program(): { parse: (args: readonly string[]) => Promise<void> } {
  const silent = { writeOut: () => undefined, writeErr: () => undefined }
  const root = new Command('adasum').enablePositionalOptions().exitOverride().configureOutput(silent)
  const exit = (): void => undefined
  defineRun(root.command('run'), exit)
  defineBench(root.command('bench'), exit)
  defineDoctor(root.command('doctor'), exit)
  defineTimeline(root.command('timeline'))
  const commandNamed = (parent: Command, name: string): Command =>
    parent.commands.find((found) => found.name() === name)!
  commandNamed(root, 'run').action(async (script: string, args: string[], options: RunOptions) => {
    const { secretFile: _, ...rest } = options
    checkLaunch(await planLaunch(script, args, rest, { ...ENVIRONMENT }))
  })
  commandNamed(root, 'bench').action((options: BenchOptions) => checkCases(options))
  commandNamed(root, 'doctor').action(exit)
  commandNamed(commandNamed(root, 'timeline'), 'merge').action(exit)
  return { parse: async (args) => void (await root.parseAsync(args, { from: 'user' })) }
}

function checkLaunch({ localSize, firstRank, worldSize, store, onlyRank, nodeArguments }: LaunchPlan): void {
  ensure(worldSize >= 1 && worldSize <= MAX_WORLD_SIZE, () => `a world of ${worldSize}`)
  ensure(localSize >= 1 && firstRank >= 0, () => `${localSize} ranks from ${firstRank} on`)
  ensure(firstRank + localSize <= worldSize, () => `${localSize} ranks from ${firstRank} on, of ${worldSize}`)
  ensure(store.port >= 0 && store.port < 65536 && store.host !== '', () => `a store at ${store.host}:${store.port}`)
  ensure(onlyRank === undefined || onlyRank < worldSize, () => `the output of rank ${onlyRank}, of ${worldSize}`)
  ensure(
    nodeArguments.every((word) => typeof word === 'string'),
    'an argument of a script is no text',
  )
}

function checkCases(options: BenchOptions): void {
  for (const { byteLength, op } of planCases(options)) {
    const isLength = Number.isSafeInteger(byteLength) && byteLength % 8 === 0 && byteLength <= LARGEST_CASE
    ensure(isLength && (byteLength > 0 || op === 'barrier'), () => `a vector of ${byteLength} bytes`)
  }
}

export const commandLine: Target = {
  name: 'command-line',
  share: 1,
  largest: 512,
  seeds: () => LINES.map((words) => Buffer.from(words.join('\n'))),
  words: [
    '\n',
    '\n--',
    '\n--json',
    '\n-n\n',
    '\n--sizes\n',
    '\n--seconds\n',
    'KiB',
    'MB',
    '1e9',
    ',',
    '\n--calibrate',
    '=',
  ],
  async run(input) {
    const words = Buffer.from(input).toString('utf8').replaceAll('\0', '').split('\n')
    try {
      await program().parse(words)
      return true
    } catch (error) {
      return refusal(error, isOfCommands)
    }
  },
}
