/** The options and codes that a document lists are those of the code, none more and none less. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { Command } from 'commander'
import { defineBench } from '../../ts/src/cli/bench/command.ts'
import { defineDoctor } from '../../ts/src/cli/doctor/command.ts'
import { defineRun } from '../../ts/src/cli/run/command.ts'
import { ERROR_CODES } from '../../ts/src/errors.ts'
import { CONNECT_OPTIONS } from '../../ts/src/connect-options.ts'
import { ROOT } from '../_user-folder.ts'

const COMMANDS = { run: defineRun, bench: defineBench, doctor: defineDoctor }

/** A document's part below a heading, up to the next one of the same rank. */
function below(page: string, heading: string): string {
  const [, rest] = readFileSync(join(ROOT, 'docs', page), 'utf8').split(`\n${heading}\n`)
  const end = rest?.search(new RegExp(`^${/^#+/.exec(heading)![0]} `, 'm')) ?? -1
  return (end < 0 ? rest : rest?.slice(0, end)) ?? ''
}

for (const [name, define] of Object.entries(COMMANDS)) {
  test(`docs/cli.md has the options of adasum ${name}`, (t) => {
    const command = new Command(name)
    define(command, () => {})
    const taken = command.options.map(({ long }) => long!)
    const section = below('cli.md', `## adasum ${name}`)
    const text = section.replaceAll(/^```[^]*?^```$/gm, '')
    const rows = [...text.matchAll(/^\|[^|]*\|/gm)].join('\n')
    // Options of which there are few stand in the text.
    const shown = [...(rows.includes('`--') ? rows : text).matchAll(/--[a-z][a-z-]*/g)].map(([option]) => option)
    t.deepEqual([...new Set(shown)].toSorted(), taken.toSorted())
  })
}

test('docs/communicator.md has the options of connect', (t) => {
  const rows = [...below('communicator.md', '## connect(options?)').matchAll(/^\| *`(\w+)` *\|/gm)]
  t.deepEqual(rows.map(([, option]) => option).toSorted(), Object.keys(CONNECT_OPTIONS).toSorted()) // prettier-ignore
})

test('docs/errors.md has one row for every code, in the same order', (t) => {
  const page = readFileSync(join(ROOT, 'docs', 'errors.md'), 'utf8')
  const rows = [...page.matchAll(/^\| *`(ERR_\w+)` *\|/gm)].map(([, code]) => code)
  t.deepEqual(rows, [...ERROR_CODES])
})
