import test from 'ava'
import {
  judge,
  readAva,
  readCargo,
  readSummary,
  sum,
  summaryLine,
  withFailureNamed,
} from '../../scripts/lib/results.mjs'
import { runSuite } from '../../scripts/lib/suite.mjs'

const CARGO = `
running 3 tests
test tree::contiguous ... ok
test kernels::avx2 ... ignored, this CPU has no AVX2
test kernels::scalar ... FAILED

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests adasum_core
covered: scalar, avx2
test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.10s
`

test('cargo test: all its programs are added up', (t) => {
  t.deepEqual(readCargo(CARGO), {
    passed: 41,
    failed: 1,
    skipped: 1,
    notes: ['skipped: kernels::avx2 (this CPU has no AVX2)', 'covered: scalar, avx2', 'failed: kernels::scalar'],
  })
})

const AVA_GOOD = `
  ✔ run › one (1.2s)
  - [skip] run › in a terminal (no tmux)
  ✔ run › two
  ─

  2 tests passed
  1 test skipped
`
const AVA_BAD = `
  ✔ a › passes
  ✘ [fail]: a › fails
  ✘ [fail]: b › throws Error thrown in test
  ✔ [expected fail] a › known
  Uncaught exception in d.test.mjs
  ✘ d.test.mjs exited with a non-zero exit code: 1
  ─

  a › fails

  test/a.test.ts:2

  Difference (- actual, + expected):

  - 1
  + 2

  › <anonymous> (test/a.test.ts:2:39)
      at Test.callFn (file:///node_modules/ava/lib/test.js:525:26)



  b › throws

  Error thrown in test:

  ─

  2 tests failed
  1 known failure
  1 uncaught exception
`

test('ava: good and bad runs, with and without colours', (t) => {
  const good = { passed: 2, failed: 0, skipped: 1, notes: ['skipped: run › in a terminal (no tmux)'] }
  t.deepEqual(readAva(AVA_GOOD), good)
  t.deepEqual(readAva(AVA_GOOD.replaceAll(/✔|2 tests passed/g, '\u001B[32m$&\u001B[39m')), good)
  t.deepEqual(readAva(AVA_BAD), {
    passed: 2,
    failed: 3,
    skipped: 0,
    notes: [
      'failed: a › fails',
      'failed:     test/a.test.ts:2',
      'failed:     Difference (- actual, + expected):',
      'failed:     - 1',
      'failed:     + 2',
      'failed:     › <anonymous> (test/a.test.ts:2:39)',
      'failed: b › throws Error thrown in test',
      'failed:     Error thrown in test:',
      'failed: d.test.mjs exited with a non-zero exit code: 1',
    ],
  })
})

test('a summary is read where npm adds words after it', (t) => {
  const line = summaryLine({ passed: 12, failed: 3, skipped: 1, notes: [] })
  t.is(line, '12 passed, 3 failed, 1 skipped')
  t.deepEqual(readSummary(`5 passed, 0 failed\nskipped: x (y)\n${line}\nnpm error code 1\n`), {
    passed: 12,
    failed: 3,
    skipped: 1,
    notes: ['skipped: x (y)'],
  })
  t.is(summaryLine({ passed: 12, failed: 0, skipped: 0, notes: [] }), '12 passed, 0 failed')
})

test('whoever ends badly, or has no test, has failed', (t) => {
  const counts = { passed: 5, failed: 0, skipped: 0, notes: [] }
  t.is(judge(counts, true).failed, 0)
  t.is(judge(counts, false).failed, 1)
  t.is(judge({ ...counts, failed: 3 }, false).failed, 3)
  t.is(judge({ ...counts, passed: 0 }, true).failed, 1)
  t.is(judge({ ...counts, passed: 0, skipped: 4 }, true).failed, 1)
  t.deepEqual(sum([counts, { ...counts, failed: 2, notes: ['a', 'a'] }]), {
    passed: 10,
    failed: 2,
    skipped: 0,
    notes: ['a'],
  })
})

test('the last notes say what failed: the test, or else the suite', (t) => {
  const counts = { passed: 5, failed: 1, skipped: 0, notes: [] }
  t.deepEqual(withFailureNamed('suite', counts).notes, ['failed: suite'])
  t.deepEqual(withFailureNamed('suite', { ...counts, failed: 0 }).notes, [])
  const named = { ...counts, notes: ['failed: test', 'covered: x'] }
  t.deepEqual(withFailureNamed('suite', named).notes, named.notes)
  t.deepEqual(sum([named, { ...counts, notes: ['skipped: y'] }]).notes, ['covered: x', 'skipped: y', 'failed: test'])
})

const suite = (code: string, limitMinutes = 1) => ({
  name: 'made up',
  command: process.execPath,
  args: ['-e', code],
  read: readCargo,
  limitMinutes,
})
const GOOD = `console.log('test result: ok. 3 passed; 0 failed; 0 ignored;')`

test('a suite that runs: good, crashed, hanging, absent', async (t) => {
  const failedIn = async (run: Parameters<typeof runSuite>[0]) => (await runSuite(run, process.cwd())).failed
  t.is(await failedIn(suite(GOOD)), 0)
  t.is(await failedIn(suite(`${GOOD};process.kill(process.pid, 'SIGSEGV')`)), 1)
  t.is(await failedIn(suite(`${GOOD};process.exit(1)`)), 1)
  t.is(await failedIn(suite('')), 1)
  t.is(await failedIn(suite(`${GOOD};setInterval(() => {}, 1000)`, 0.01)), 1)
  t.is(await failedIn({ ...suite(''), command: 'there-is-no-such-program' }), 1)
})
