/** `adasum bench`: times all-reduce among ranks of this machine, and checks every result. */
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Command } from 'commander'
import { MAX_WORLD_SIZE } from '../../rendezvous/environment.ts'
import { wholeNumber } from '../whole-number.ts'
import { launch } from '../run/launcher.ts'
import { planLaunch } from '../run/plan.ts'
import { type BenchOptions, planCases } from './cases.ts'

const EXAMPLES = `
Examples:
  adasum bench -n 4
  adasum bench -n 2 --op sum,adasum --sizes 1KiB,512KiB,32MiB --json
  adasum bench --op max --dtype i32,u64

A time is that of the slowest rank, from a barrier to the end of the call. algbw is bytes / p50; busbw is
algbw x 2(n-1)/n; GB = 1e9 bytes. #wrong counts elements that differ from what one process computes from the
same inputs: if there are any, the exit code is 1.`

export function defineBench(command: Command, setExitCode: (code: number) => void): void {
  command
    .description('time all-reduce among ranks of this machine')
    .option('-n, --ranks <count>', 'how many ranks', wholeNumber(1, MAX_WORLD_SIZE), 4)
    .option('--op <list>', 'sum, average, adasum, min, max; barrier: an empty round', 'sum,average,adasum')
    .option('--dtype <list>', 'f32, f64; for sum, min and max also u8, i32, u32, i64, u64', 'f32')
    .option('--sizes <list>', "bytes of each rank's vector", '1KiB,32KiB,512KiB,4MiB,32MiB')
    .option('--placement <list>', 'out, in-place', 'out,in-place')
    .option('--iterations <count>', 'timed calls a case; by default 20 to 1000 by size', wholeNumber(1, 1_000_000))
    .option('--json', 'print a JSON line a case')
    .addHelpText('after', EXAMPLES)
    .action(async (options: BenchOptions) => {
      const { ranks, iterations, json = false } = options
      const settings = { cases: planCases(options), iterations, json }
      const script = fileURLToPath(new URL(`./rank${extname(import.meta.url)}`, import.meta.url))
      const place = { ranks, only: 0, nodeOption: [], nodes: 1, node: 0 }
      const plan = await planLaunch(script, [JSON.stringify(settings)], place, process.env)
      setExitCode(await launch(plan))
    })
}
