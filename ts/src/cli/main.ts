/** The command `adasum`: puts the commands together and turns what they throw into one line and an exit code. */
import { Command, CommanderError } from 'commander'
import { AdasumError } from '../errors.ts'
import { defineBench } from './bench/command.ts'
import { CommandError, FAILURE, USAGE } from './command-error.ts'
import { defineDoctor } from './doctor/command.ts'
import { packageVersion } from './package-version.ts'
import { defineRun } from './run/command.ts'
import { defineSecret } from './secret.ts'
import { defineTimeline } from './timeline/command.ts'

/**
 * @param args - what follows `adasum` on the command line
 * @returns the exit code: 0; 1 for a failure; 2 for a command line that is wrong; for `run` that of the rank that
 *   failed
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const program = withOneLineErrors(new Command('adasum'), 'adasum')
    .description('Distributed training for JavaScript')
    .version(packageVersion())
    .enablePositionalOptions()
    .exitOverride()
  let exitCode = 0
  const setExitCode = (code: number): void => void (exitCode = code)
  defineRun(subcommand(program, 'run'), setExitCode)
  defineBench(subcommand(program, 'bench'), setExitCode)
  defineDoctor(subcommand(program, 'doctor'), setExitCode)
  defineSecret(subcommand(program, 'secret'))
  defineTimeline(subcommand(program, 'timeline'))
  try {
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    return exitCodeOf(error, args[0] ?? '')
  }
}

function subcommand(program: Command, name: string): Command {
  return withOneLineErrors(program.command(name), `adasum ${name}`)
}

/** What commander says about a wrong command line may come with a suggestion on a second one. */
function withOneLineErrors(command: Command, name: string): Command {
  return command.configureOutput({ outputError: (text, write) => write(`${name}: ${oneLine(text)}\n`) })
}

function oneLine(text: string): string {
  return text
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')
}

function exitCodeOf(error: unknown, command: string): number {
  // Commander has said what it has to say before it throws.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
  if (error instanceof CommandError) {
    console.error(`adasum ${command}: ${error.message}`)
    return error.exitCode
  }
  console.error(error instanceof AdasumError ? `adasum ${command}: ${error.code}: ${error.message}` : error)
  return FAILURE
}
