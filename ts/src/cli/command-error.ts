/** Exit code for a command line that is wrong: nothing was started. */
export const USAGE = 2
/** Exit code for everything else that goes wrong in a command itself. */
export const FAILURE = 1

/** Ends a command with one line and an exit code. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number = USAGE) {
    super(message)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}
