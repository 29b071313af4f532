/** Files that ADASUM_TIMELINE makes, as `adasum timeline merge` reads them. */
import { CommandError } from '../../../ts/src/cli/command-error.ts'
import { eventsOf } from '../../../ts/src/cli/timeline/command.ts'
import { refusal, ensure, type Target } from '../_target.ts'

const EVENTS = [
  '{"ph":"M","pid":0,"name":"process_name","args":{"name":"rank 0"}}',
  '{"ph":"X","pid":0,"tid":1,"ts":12.5,"dur":3,"name":"all-reduce","args":{"sequence":1,"op":"adasum"}}',
]

const WHOLE = `[\n${EVENTS.join(',\n')}\n]\n`

export const timelines: Target = {
  name: 'timelines',
  share: 10,
  largest: 2048,
  seeds: () =>
    [WHOLE, `[\n${EVENTS.join(',\n')}`, `[\n${EVENTS.join(',\n')},\n{"ph":"X","pi`, '[\n\n]\n'].map((text) =>
      Buffer.from(text),
    ),
  words: ['[\n', ',\n', '\n]\n', '{"ph":"X"}', '\r', '\u2028'],
  run(input) {
    let events: readonly string[]
    try {
      events = eventsOf('trace.json', Buffer.from(input).toString('utf8'))
    } catch (error) {
      return refusal(error, (found) => found instanceof CommandError)
    }
    const merged = `[\n${events.join(',\n')}\n]\n`
    const values = parsed(merged)
    ensure(Array.isArray(values) && values.length === events.length, 'what it merges is no list of the events')
    ensure(
      JSON.stringify(eventsOf('merged', merged)) === JSON.stringify(events),
      'what it has merged it reads otherwise',
    )
    return true
  },
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return ensure(false, 'what it merges is no JSON')
  }
}
