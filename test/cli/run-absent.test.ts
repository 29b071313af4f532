/** A rank that ends with code 0 while others wait for it in connect(). Processes that wait for one another: serial. */
import test, { type ExecutionContext } from 'ava'
import { folderWith, installPackages } from '../_user-folder.ts'
import { type Outcome, compile, runAdasum } from './_adasum.ts'

test.before(compile)

/** The script's own words are those after the import. */
async function run(t: ExecutionContext, size: number, script: string, options: string[] = []): Promise<Outcome> {
  const cwd = folderWith(t, {
    'script.mjs': `
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'adasum'
const rank = Number(process.env.ADASUM_RANK)
${script}`,
  })
  installPackages(cwd)
  return runAdasum(t, ['run', '-n', `${size}`, ...options, 'script.mjs'], { cwd })
}

const ENDED =
  /^adasum run: rank 1 ended with code 0 while (rank \d|ranks \d(, \d)+) still waits? in connect\(\)[^\n]*; ending the other ranks\n$/m

test.serial('a rank that ends before it connects ends the run at once, and is named', async (t) => {
  const { exitCode, stderr } = await run(t, 3, `if (rank === 1) process.exit(0)\nawait connect()`)
  t.regex(stderr, ENDED)
  t.is(exitCode, 1)
})

test.serial('so does one that ends when all the others wait already, after its own last words', async (t) => {
  const script = `
if (rank !== 1) await connect()
await sleep(2500)
console.error('nothing to do')`
  const { exitCode, stderr } = await run(t, 3, script)
  t.regex(stderr, ENDED)
  t.regex(stderr, /^\[1\] nothing to do\nadasum run: rank 1 ended with code 0 while ranks 0, 2 still wait in /)
  t.is(exitCode, 1)
})

test.serial('a rank whose output is hidden tells why it ended', async (t) => {
  const script = `
if (rank !== 1) await connect()
console.error('nothing to do')`
  const { exitCode, stderr } = await run(t, 2, script, ['--only', '0'])
  t.regex(stderr, ENDED)
  t.regex(stderr, /^\[1\] nothing to do\nadasum run: /)
  t.is(exitCode, 1)
})

test.serial('so does one that goes in the middle of connecting, or before the others connect again', async (t) => {
  const during = await run(t, 2, `void connect()\nif (rank === 1) process.exit(0)`)
  t.regex(during.stderr, ENDED)
  t.is(during.exitCode, 1)
  const again = await run(t, 2, `await (await connect()).close()\nif (rank !== 1) await connect()`)
  t.regex(again.stderr, ENDED)
  t.is(again.exitCode, 1)
})

const FINE: [name: string, script: string][] = [
  ['nobody connects', `await sleep(rank * 100)`],
  ['all connect, and end one after the other', `const comm = await connect()\nawait comm.close()\nawait sleep(rank * 200)`],
  ['all connect twice', `for (const _ of [1, 2]) { await (await connect()).close() }\nawait sleep(200 * (2 - rank))`],
  ['all connect, and most do not look for long', `const comm = connect()\nif (rank !== 1) for (const end = Date.now() + 1500; Date.now() < end;);\nawait (await comm).close()`],
] // prettier-ignore
for (const [name, script] of FINE)
  test.serial(`the run is fine: ${name}`, async (t) => {
    t.deepEqual(await run(t, 3, script), { exitCode: 0, stdout: '', stderr: '' })
  })

test.serial('a rank that fails, or a signal, comes before', async (t) => {
  const { exitCode, stderr } = await run(t, 2, `if (rank === 1) process.exit(7)\nawait connect()`)
  t.is(stderr, 'adasum run: rank 1 exited with code 7; ending the other ranks\n')
  t.is(exitCode, 7)
})
