/** `adasum timeline merge`: the timelines of several ranks as one, which shows them below each other. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { systemCode } from '../../errors.ts'
import { CommandError, FAILURE } from '../command-error.ts'

export function defineTimeline(command: Command): void {
  command.description('work with the files that ADASUM_TIMELINE makes')
  command
    .command('merge')
    .description('put the timelines of several ranks together; prints to stdout')
    .argument('<files...>', 'one a rank')
    .action((files: string[]) => {
      const events = files.flatMap((file) => eventsOf(file, read(file)))
      process.stdout.write(`[\n${events.join(',\n')}\n]\n`)
    })
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CommandError(`${file} cannot be read (${systemCode(error) ?? String(error)})`, FAILURE)
  }
}

/**
 * The lines of the events. A process that was killed has left the last bracket out, and may have been stopped within a
 * line.
 */
export function eventsOf(file: string, text: string): string[] {
  const [head, ...lines] = text.split('\n').map((line) => line.replace(/,$/, ''))
  const events = lines.filter((line) => line !== '' && line !== ']')
  const isCutOff = lines.at(-1) !== '' && events.length > 1
  if (isCutOff && !isEvent(events.at(-1)!)) events.pop()
  if (head === '[' && events.every(isEvent)) return events
  throw new CommandError(`${file} is no timeline of adasum`, FAILURE)
}

function isEvent(line: string): boolean {
  try {
    const event: unknown = JSON.parse(line)
    return typeof event === 'object' && event !== null && 'ph' in event
  } catch {
    return false
  }
}
