/** docs/errors.md says of every code what it looks like, which fields it has, and what to do; its messages are those of the code. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { AdasumError, ERROR_CODES } from '../../ts/src/errors.ts'
import { ROOT } from '../_user-folder.ts'

const page = readFileSync(join(ROOT, 'docs', 'errors.md'), 'utf8')

/** What stands below each heading of the third rank, by its words. */
function sectionsOf(markdown: string): Map<string, string> {
  const [, ...parts] = markdown.split(/^### /m)
  return new Map(parts.map((part) => [part.split('\n', 1)[0]!, part.split(/^## /m)[0]!] as const))
}

const sections = sectionsOf(page)

function messagesIn(section: string): string[] {
  const block = /^```text\n([^]*?)^```$/m.exec(section)?.[1] ?? ''
  return block.split('\n').filter((line) => line !== '')
}

/** All that the package says: its sources, without the joints of strings that are cut into several. */
const words = ['ts/src', 'crates/adasum-gpu/src']
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  )
  .filter((name) => /\.(ts|rs)$/.test(name))
  .map((name) => readFileSync(join(ROOT, name), 'utf8'))
  .join('\n')
  .replaceAll(/['"`] \+\n\s*['"`]/g, '')
  .replaceAll(/\\\n\s*/g, '')

const PIECE = 12

/** The share of a message that lies in pieces which the sources have word by word: the rest are names and numbers. */
function knownShare(message: string, sources: string): number {
  const isKnown = new Array<boolean>(message.length).fill(false)
  for (let begin = 0; begin + PIECE <= message.length; begin++)
    if (sources.includes(message.slice(begin, begin + PIECE))) isKnown.fill(true, begin, begin + PIECE)
  return isKnown.filter(Boolean).length / message.length
}

test('every code has a section, in the order of the codes', (t) => {
  t.deepEqual([...sections.keys()], [...ERROR_CODES])
})

test('each section has messages, what to do, and the fields that there are', (t) => {
  const known = ['rank', 'peerRank', 'peerAddress', 'operation', 'sequence', 'lastCompleted', 'flightRecord', 'cause']
  const [, table = ''] = page.split('\n## Fields\n')
  t.deepEqual([...table.split('\n## ')[0]!.matchAll(/^\| `(\w+)`/gm)].map(([, field]) => field), known) // prettier-ignore
  const details = Object.fromEntries(known.map((field) => [field, field === 'flightRecord' ? [] : 1]))
  t.deepEqual(Object.getOwnPropertyNames(new AdasumError('ERR_CLOSED', '', details)).filter((name) => known.includes(name)).sort(), known.toSorted()) // prettier-ignore
  for (const [code, section] of sections) {
    t.true(messagesIn(section).length > 0, code)
    for (const line of messagesIn(section)) t.true(line.startsWith(`AdasumError [${code}]: `), line)
    t.regex(section, /^- \*\*Do:\*\* .+/m, code)
    const [, fields = ''] = /^- \*\*Fields:\*\* ([^]+)/m.exec(section) ?? []
    t.not(fields.trim(), '', code)
    for (const [, field] of fields.matchAll(/`([a-z]\w*)`/g)) if (field !== 'connect') t.true(known.includes(field!), `${code}: ${field}`) // prettier-ignore
  }
})

test('each message is one that the code gives, but for names and numbers', (t) => {
  for (const [code, section] of sections)
    for (const line of messagesIn(section)) {
      const message = line.slice(`AdasumError [${code}]: `.length)
      const parts = message.split(/(?<=[.:;]) /).filter((part) => part.length > PIECE && !/\d/.test(part))
      t.true(knownShare(message, words) > 0.5, message)
      for (const part of parts) t.true(knownShare(part, words) > 0.4, `${code} does not say: ${part}`)
    }
})

test('words that the code does not have are noticed', (t) => {
  const sources = 'throw new Error(`${name} has ${count} elements, ${other} has ${more}. Use equal lengths.`)'
  t.true(knownShare('a has 3 elements, b has 4. Use equal lengths.', sources) > 0.4)
  t.is(knownShare('a has 3 entries, b has 4. Choose one length.', sources), 0)
})
