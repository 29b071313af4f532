/** `adasum bench`: times all-reduce among ranks of this machine, and checks every result; or calibrates. */
import { fileURLToPath } from 'node:url'
import { type Command, Option } from 'commander'
import { MAX_WORLD_SIZE } from '../../rendezvous/environment.ts'
import { CommandError } from '../command-error.ts'
import { wholeNumber } from '../whole-number.ts'
import { launch } from '../run/launcher.ts'
import { planLaunch } from '../run/plan.ts'
import { type BenchOptions, planCases } from './cases.ts'

const EXAMPLES = `
Examples:
  adasum bench -n 4
  adasum bench -n 2 --op sum,adasum --sizes 1KiB,512KiB,32MiB --json
  adasum bench --op max --dtype i32,u64
  adasum bench -n 4 --compress none,int8
  adasum bench -n 2 --tls --sizes 32MiB
  adasum bench -n 2 --checksums --sizes 32MiB
  adasum bench -n 4 --calibrate

A time is that of the slowest rank, from a barrier to the end of the call. algbw is bytes / p50; busbw is
algbw x 2(n-1)/n; GB = 1e9 bytes. #wrong counts elements that differ from what one process computes from the
same inputs: if there are any, the exit code is 1. With --compress it counts those that differ from rank 0's, and
error is |result - exact| / |exact|.

Over shared memory the vectors come from comm.allocate, as a program's own may; --memory heap times those that
have to be copied there.

--calibrate measures where one way of moving data becomes faster than another and ends with a line to set in rank 0's
environment, ADASUM_TUNING=... . It chooses its own cases.`

const TRANSPORTS = ['tcp', 'shared-memory'] as const
const MEMORIES = ['allocated', 'heap'] as const

interface Options extends BenchOptions {
  transport?: (typeof TRANSPORTS)[number]
  memory: (typeof MEMORIES)[number]
  tls?: boolean
  checksums?: boolean
  calibrate?: boolean
  seconds: number
}

/** Options that say which cases to time. */
const CASE_OPTIONS = ['op', 'dtype', 'sizes', 'placement', 'compress', 'memory', 'iterations']
const LONGEST_SECONDS = 120

export function defineBench(command: Command, setExitCode: (code: number) => void): void {
  command
    .description('time all-reduce among ranks of this machine')
    .option('-n, --ranks <count>', 'how many ranks', wholeNumber(1, MAX_WORLD_SIZE), 4)
    .option('--op <list>', 'sum, average, adasum, min, max; barrier: an empty round', 'sum,average,adasum')
    .option('--dtype <list>', 'f32, f64; for sum, min and max also u8, i32, u32, i64, u64', 'f32')
    .option('--sizes <list>', "bytes of each rank's vector", '1KiB,32KiB,512KiB,4MiB,32MiB')
    .option('--placement <list>', 'out, in-place', 'out,in-place')
    .option('--compress <list>', 'none, f16, bf16, int8: what is sent is quantised', 'none')
    .addOption(
      new Option('--transport <name>', 'how ranks reach each other; by default as connect does').choices(TRANSPORTS),
    )
    .option('--tls', 'over TCP, encrypted as it is between machines')
    .option('--checksums', 'over TCP, with checksums as between machines that do not encrypt')
    .addOption(new Option('--memory <where>', 'where vectors lie').choices(MEMORIES).default('allocated'))
    .option('--iterations <count>', 'timed calls a case; by default 20 to 1000 by size', wholeNumber(1, 1_000_000))
    .option('--calibrate', 'measure what ADASUM_TUNING should be, instead')
    .option('--seconds <count>', 'how long to calibrate, about', wholeNumber(1, LONGEST_SECONDS), 60)
    .option('--json', 'print a JSON line a case')
    .addHelpText('after', EXAMPLES)
    .action(async (options: Options) => {
      refuseIdleOptions(command, options)
      const { ranks, iterations, seconds, memory, json = false } = options
      const transport = overTcp(options)
      const place = { ranks, only: 0, nodeOption: [], nodes: 1, node: 0 }
      const [script, settings] = options.calibrate
        ? ['#calibrate-rank', { seconds, transport, json }]
        : ['#bench-rank', { cases: planCases(options), iterations, transport, memory, json }]
      const path = fileURLToPath(import.meta.resolve(script))
      setExitCode(await launch(await planLaunch(path, [JSON.stringify(settings)], place, process.env)))
    })
}

/** What connections over TCP can have, and the variables by which the ranks, and the store at which they meet, learn of it. */
const TCP_OPTIONS = [
  { name: 'tls', variable: 'ADASUM_TLS', value: 'psk' },
  { name: 'checksums', variable: 'ADASUM_CHECKSUMS', value: '1' },
] as const

/** The transport: TCP for what only its connections have. */
function overTcp(options: Options): Options['transport'] {
  const { transport } = options
  const given = TCP_OPTIONS.filter(({ name }) => options[name])
  if (!given[0]) return transport
  if (transport === 'shared-memory')
    throw new CommandError(`--${given[0].name} is for connections over TCP: leave out --transport shared-memory`)
  for (const { variable, value } of given) process.env[variable] = value
  return 'tcp'
}

/** An option that would be ignored is a misunderstanding. */
function refuseIdleOptions(command: Command, { calibrate, ranks }: Options): void {
  const isGiven = (name: string): boolean => command.getOptionValueSource(name) === 'cli'
  if (!calibrate) {
    if (isGiven('seconds')) throw new CommandError('--seconds is for --calibrate; without it give --iterations')
    return
  }
  const idle = CASE_OPTIONS.find(isGiven)
  if (idle !== undefined) throw new CommandError(`--calibrate chooses its own cases: leave out --${idle}`)
  if (ranks === 1) throw new CommandError('-n 1 leaves --calibrate nothing to measure: give 2 ranks or more')
}
