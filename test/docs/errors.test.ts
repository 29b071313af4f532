import { readFileSync } from 'node:fs'
import test from 'ava'
import { ERROR_CODES } from '../../ts/src/errors.ts'

test('docs/errors.md has one row for every code, in the same order', (t) => {
  const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| *`(ERR_\w+)` *\|/gm)].map(([, code]) => code)
  t.deepEqual(rows, [...ERROR_CODES])
})
