/** docs/reliability.md: each promise there has a page that explains it, and a test that is in the file that it names. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ROOT } from '../_user-folder.ts'
import { titlesOf } from './_titles.ts'

const page = readFileSync(join(ROOT, 'docs', 'reliability.md'), 'utf8')

interface Shown {
  readonly file: string
  readonly title: string
}

interface Promised {
  readonly promise: string
  readonly explained: string
  readonly shown: readonly Shown[]
}

/** Rows of all tables: what is promised, where it is explained, and by what it is shown. */
function promisesIn(markdown: string): Promised[] {
  const rows = markdown.split('\n').filter((line) => /^\| (?!promise |-)/.test(line))
  return rows
    .map((line) =>
      line
        .slice(2, -1)
        .split(' | ')
        .map((cell) => cell.trim()),
    )
    .map(([promise, explained, shown]) => ({ promise: promise!, explained: explained!, shown: shownBy(shown!) }))
}

/** Code that is the path of a file says where the titles after it are. */
function shownBy(cell: string): Shown[] {
  let file = ''
  return [...cell.matchAll(/(`+) ?(.+?) ?\1(?!`)/g)].flatMap(([, , code]) => {
    if (!code!.startsWith('test/')) return [{ file, title: code! }]
    file = code!
    return []
  })
}

const titles = new Map<string, readonly string[]>()

function titlesIn(file: string): readonly string[] {
  if (!titles.has(file)) {
    const path = join(ROOT, file)
    titles.set(file, existsSync(path) ? titlesOf(readFileSync(path, 'utf8')) : [])
  }
  return titles.get(file)!
}

const promises = promisesIn(page)

test('every promise is explained somewhere and shown by a test', (t) => {
  t.true(promises.length > 100)
  for (const { promise, explained, shown } of promises) {
    t.regex(promise, /[.]$/)
    t.regex(explained, /^\[[^\]]+\]\([^)]+\)/, promise)
    t.true(shown.length > 0, promise)
  }
})

test('no promise is made twice', (t) => {
  const made = promises.map(({ promise }) => promise)
  t.deepEqual(made.filter((promise, i) => made.indexOf(promise) !== i), []) // prettier-ignore
})

test('each test that is named stands in its file', (t) => {
  const named = promises.flatMap(({ shown }) => shown)
  t.true(named.length >= promises.length)
  t.deepEqual(named.filter(({ file, title }) => !titlesIn(file).includes(title)), []) // prettier-ignore
})

test('titles are found as they are written, and those of tests that do not run are not', (t) => {
  const source = `
test('one', (t) => {})
for (const name of names) test.serial(\`\${name}: two of \${size}\`, async (t) => {})
linuxTest(
  'it\\'s three',
  (t) => {},
)
property('four', 400, (random) => {})
test.skip('not run', (t) => {})
call('five', () => {})
// test('six', (t) => {})`
  t.deepEqual(titlesOf(source), ['one', '…: two of …', "it's three", 'four'])
})

test('a row without a test, and one that names two, are read as such', (t) => {
  const rows = '| promise | explained in | shown by |\n| --- | --- | --- |\n| It holds. | [a](b.md) | by nothing |\n'
  t.deepEqual(promisesIn(rows)[0]!.shown, [])
  const two = '| It holds.  | [a](b.md) | `test/a.test.ts`: `one`, `` into `out` ``; `test/b.test.ts`: `…: two` |'
  t.deepEqual(promisesIn(two)[0]!.shown, [
    { file: 'test/a.test.ts', title: 'one' },
    { file: 'test/a.test.ts', title: 'into `out`' },
    { file: 'test/b.test.ts', title: '…: two' },
  ])
})
