/** How the tests are run: which files beside each other, which of many cases, which suites where. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import { wholeNumber } from '../../scripts/lib/options.mjs'
import { complete } from '../../scripts/lib/results.mjs'
import { testFiles } from '../../scripts/lib/test-files.mjs'
import { HAS_ALL_CASES, runsOf } from '../_property.ts'
import { sampleOf } from '../_sample.ts'
import { ROOT } from '../_user-folder.ts'

test('a file that starts processes runs alone, also one that leaves it to what it imports', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'adasum-test-files-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  write('test/a/forks.test.ts', `import { fork } from 'node:child_process'`)
  write('test/a/_helper.ts', `import { execa } from 'execa'\nimport './_round.ts'`)
  write('test/a/_round.ts', `import {} from './_helper.ts'`)
  write('test/a/helped.test.ts', `import { help } from './_round.ts'`)
  write('test/b/later.test.ts', `const { help } = await import('../a/_helper.ts')`)
  write('test/b/plain.test.ts', `import { tested } from '../../ts/src/tested.ts'`)
  write('ts/src/tested.ts', `import { fork } from 'node:child_process'`)
  write('test/package/node_modules/x/theirs.test.ts', '')
  t.deepEqual(testFiles(root), {
    alone: ['test/a/forks.test.ts', 'test/a/helped.test.ts', 'test/b/later.test.ts'],
    beside: ['test/b/plain.test.ts'],
  })
})

test('every test file is run once', (t) => {
  const { alone, beside } = testFiles(ROOT)
  const all = [...alone, ...beside]
  t.is(new Set(all).size, all.length)
  t.true(all.includes(join('test', 'scripts', 'test-files.test.ts')))
  t.true(alone.includes(join('test', 'cli', 'run.test.ts')))
  t.true(beside.includes(join('test', 'tensor', 'tensor.test.ts')))
})

test('a sample: so many cases in their order, the same for the same name; everything where all cases are wanted', (t) => {
  const cases = Array.from({ length: 200 }, (_, i) => i)
  const [one, other] = [sampleOf('one', cases, 30), sampleOf('other', cases, 30)]
  t.deepEqual(sampleOf('one', cases, 30), one)
  t.deepEqual(
    one,
    one.toSorted((a, b) => a - b),
  )
  t.is(new Set(one).size, HAS_ALL_CASES ? 200 : 30)
  if (!HAS_ALL_CASES) t.notDeepEqual(one, other)
  t.deepEqual(sampleOf('one', cases, 1000), cases)
  t.is(runsOf(7), HAS_ALL_CASES ? 70 : 7)
})

test('a suite that is told nonsense does not run nothing', (t) => {
  t.is(wholeNumber('--rounds', '50'), 50)
  for (const text of ['', '0', '-1', '1.5', 'all'])
    t.throws(() => wholeNumber('--rounds', text), { message: /--rounds .* is no whole number/ })
})

test('what a suite without optional parts skips has failed', (t) => {
  t.deepEqual(complete({ passed: 3, failed: 1, skipped: 2, notes: [] }), {
    ...{ passed: 3, failed: 3, skipped: 2, notes: [] },
  })
})

test('every suite that the hosted checks run is a script, and none of them is the long run', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
  const named = [...readFileSync(join(ROOT, 'scripts', 'ci.mjs'), 'utf8').matchAll(/[sS]uite\('([^']+)'/g)]
  const names = named.map(([, name]) => name!)
  t.true(names.length >= 9)
  t.deepEqual(
    names.filter((name) => !Object.hasOwn(scripts, name)),
    [],
  )
  t.false(names.includes('test:long'))
})
