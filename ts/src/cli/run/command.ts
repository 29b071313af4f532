/** The command line of `adasum run`. */
import type { Command } from 'commander'
import { MAX_WORLD_SIZE } from '../../rendezvous/environment.ts'
import { wholeNumber } from '../whole-number.ts'
import { launch } from './launcher.ts'
import { type RunOptions, planLaunch } from './plan.ts'

const EXAMPLES = `
Examples:
  adasum run -n 4 train.mjs --epochs 3
  ADASUM_SECRET=... adasum run -n 2 --nodes 2 --node 0 --store 10.0.0.1:29500 train.mjs
  ADASUM_SECRET=... adasum run -n 2 --nodes 2 --node 1 --store 10.0.0.1:29500 train.mjs`

export function defineRun(command: Command, setExitCode: (code: number) => void): void {
  command
    .description('start a script as several ranks that connect() to one another')
    .argument('<script>', 'a file for Node.js; .ts runs through tsx if that is installed here')
    .argument('[args...]', 'passed on to the script')
    .option('-n, --ranks <count>', 'how many ranks to start on this machine (required)', wholeNumber(1, MAX_WORLD_SIZE))
    .option('--only <rank>', 'show the output of this rank alone, as it is', wholeNumber(0))
    .option('--node-option <option>', 'an option for Node.js itself; may be repeated', append, [])
    .option(
      '--gpus-per-rank <count>',
      'how many CUDA devices each rank sees, of its own',
      wholeNumber(1, MAX_WORLD_SIZE),
    )
    .option('--nodes <count>', 'how many machines take part, each with the same -n', wholeNumber(1), 1)
    .option('--node <index>', 'which of them this one is', wholeNumber(0), 0)
    .option('--store <host:port>', 'where the launcher of node 0 is to be reached')
    .option('--listen <address>', 'where the store listens if --store is not this machine; 0.0.0.0 or :: for all')
    .option('--host <address>', 'the address at which the other machines reach the ranks of this one')
    .option('--secret-file <path>', 'a file with the secret, instead of ADASUM_SECRET')
    .addHelpText('after', EXAMPLES)
    .passThroughOptions()
    .action(async (script: string, args: string[], options: RunOptions) => {
      const plan = await planLaunch(script, args, options, process.env)
      setExitCode(await launch(plan))
    })
}

function append(value: string, earlier: string[]): string[] {
  return [...earlier, value]
}
