/** How a run ends: ranks that fail, signals, and a launcher that dies. Processes that wait for one another: serial. */
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { folderWith } from '../_user-folder.ts'
import { compile, linesOf, outcomeOf, processState, runAdasum, startAdasum, waitUntil } from './_adasum.ts'

test.before(compile)

const IDLE = `
console.log('pid ' + process.pid)
setInterval(() => {}, 1000)`

test.serial('one rank fails: the others end, and its code is the code', async (t) => {
  const script = `
if (process.env.ADASUM_RANK === '2') process.exit(3)
process.on('SIGTERM', () => { console.log('told to end'); process.exit(9) })
setInterval(() => {}, 1000)`
  const cwd = folderWith(t, { 'fail.mjs': script })
  const { exitCode, stderr } = await runAdasum(t, ['run', '-n', '4', 'fail.mjs'], { cwd })
  t.is(stderr, 'adasum run: rank 2 exited with code 3; ending the other ranks\n')
  t.is(exitCode, 3)
})

test.serial('the reason comes after the failed rank’s own last words', async (t) => {
  const cwd = folderWith(t, { 'fail.mjs': `throw new Error('out of digits')` })
  const { exitCode, stderr } = await runAdasum(t, ['run', '-n', '1', 'fail.mjs'], { cwd })
  t.is(exitCode, 1)
  t.regex(stderr, /\[0\] Error: out of digits\n(\[0\] .*\n)*adasum run: rank 0 exited with code 1\n$/)
})

test.serial('a rank that a signal has ended counts as 128 and its number', async (t) => {
  const script = `
if (process.env.ADASUM_RANK === '1') process.kill(process.pid, 'SIGKILL')
setInterval(() => {}, 1000)`
  const { exitCode, stderr } = await runAdasum(t, ['run', '-n', '2', 'die.mjs'], {
    cwd: folderWith(t, { 'die.mjs': script }),
  })
  t.is(stderr, 'adasum run: rank 1 was ended by SIGKILL; ending the other ranks\n')
  t.is(exitCode, 137)
})

test.serial('a rank that does not end when told to is killed after the grace', async (t) => {
  const script = `
process.on('SIGTERM', () => {})
console.log('pid ' + process.pid)
if (process.env.ADASUM_RANK === '1') setTimeout(() => process.exit(5), 500)
else setInterval(() => {}, 1000)`
  const child = startAdasum(t, ['run', '-n', '2', 'stubborn.mjs'], { cwd: folderWith(t, { 'stubborn.mjs': script }) })
  const pids = await linesOf(child, /pid (\d+)/, 2)
  t.is((await outcomeOf(child)).exitCode, 5)
  for (const pid of pids) t.is(processState(Number(pid)), undefined)
})

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test.serial(`${signal} is passed on once and waited for`, async (t) => {
    const script = `
let count = 0
process.on('${signal}', () => {
  count += 1
  setTimeout(() => { console.log('count ' + count); process.exit(0) }, 300)
})
console.log('ready')
setInterval(() => {}, 1000)`
    const child = startAdasum(t, ['run', '-n', '2', 'save.mjs'], { cwd: folderWith(t, { 'save.mjs': script }) })
    await linesOf(child, /ready/, 2)
    child.kill(signal)
    const { exitCode, stdout, stderr } = await outcomeOf(child)
    t.deepEqual(
      [...stdout.matchAll(/count (\d+)/g)].map(([, count]) => count),
      ['1', '1'],
    )
    t.regex(stderr, new RegExp(`^adasum run: ${signal} passed on; waiting for the ranks to end.*\n$`))
    t.is(exitCode, 0)
  })

  test.serial(`ranks that let ${signal} end them make the exit code ${code}`, async (t) => {
    const child = startAdasum(t, ['run', '-n', '2', 'idle.mjs'], { cwd: folderWith(t, { 'idle.mjs': IDLE }) })
    await linesOf(child, /pid (\d+)/, 2)
    child.kill(signal)
    t.is((await outcomeOf(child)).exitCode, code)
  })
}

for (const signal of ['SIGTERM', 'SIGHUP'] as const)
  test.serial(`ranks that ignore ${signal} are killed after the grace`, async (t) => {
    const script = `
process.on('${signal}', () => {})
${IDLE}`
    const child = startAdasum(t, ['run', '-n', '2', 'stubborn.mjs'], { cwd: folderWith(t, { 'stubborn.mjs': script }) })
    const pids = await linesOf(child, /pid (\d+)/, 2)
    // Not child.kill, which would kill the launcher, too, after a while.
    process.kill(child.pid!, signal)
    const { exitCode, stderr } = await outcomeOf(child)
    t.is(stderr, `adasum run: ${signal} passed on; waiting for the ranks to end (killed after 5 s)\n`)
    t.is(exitCode, 137)
    for (const pid of pids) t.is(processState(Number(pid)), undefined)
  })

test.serial('a second SIGINT kills', async (t) => {
  const script = `
process.on('SIGINT', () => console.log('not yet'))
console.log('pid ' + process.pid)
setInterval(() => {}, 1000)`
  const child = startAdasum(t, ['run', '-n', '2', 'stubborn.mjs'], { cwd: folderWith(t, { 'stubborn.mjs': script }) })
  const pids = await linesOf(child, /pid (\d+)/, 2)
  child.kill('SIGINT')
  await sleep(300)
  for (const pid of pids) t.not(processState(Number(pid)), undefined)
  child.kill('SIGINT')
  t.is((await outcomeOf(child)).exitCode, 137)
})

const onLinux = process.platform === 'linux' ? test.serial : test.serial.skip
onLinux('stop and continue reach the ranks', async (t) => {
  const child = startAdasum(t, ['run', '-n', '2', 'idle.mjs'], { cwd: folderWith(t, { 'idle.mjs': IDLE }) })
  const pids = (await linesOf(child, /pid (\d+)/, 2)).map(Number)
  child.kill('SIGTSTP')
  await waitUntil(() => [child.pid!, ...pids].every((pid) => processState(pid) === 'T'), 'all are stopped')
  child.kill('SIGCONT')
  await waitUntil(() => [child.pid!, ...pids].every((pid) => processState(pid) !== 'T'), 'all go on')
  child.kill('SIGTERM')
  t.is((await outcomeOf(child)).exitCode, 143)
})

test.serial('a reader that has gone ends the run', async (t) => {
  const script = `
console.log('pid ' + process.pid)
setInterval(() => console.log('more'), 10)`
  const child = startAdasum(t, ['run', '-n', '2', 'talk.mjs'], { cwd: folderWith(t, { 'talk.mjs': script }) })
  const pids = await linesOf(child, /pid (\d+)/, 2)
  child.stdout.destroy()
  t.is((await outcomeOf(child)).exitCode, 141)
  for (const pid of pids) t.is(processState(Number(pid)), undefined)
})

test.serial('a process left behind with a rank’s output in its hands does not hold the run up', async (t) => {
  const script = `
import { spawn } from 'node:child_process'
const { pid } = spawn('sleep', ['60'], { stdio: 'inherit', detached: true })
console.log('pid ' + pid)
process.stdout.write('half a line')
process.exit(0)`
  const cwd = folderWith(t, { 'leave.mjs': script })
  const { exitCode, stdout } = await runAdasum(t, ['run', '-n', '1', 'leave.mjs'], { cwd })
  const [, pid] = /pid (\d+)/.exec(stdout)!
  t.teardown(() => process.kill(Number(pid), 'SIGKILL'))
  t.not(processState(Number(pid)), undefined)
  t.deepEqual([exitCode, stdout], [0, `[0] pid ${pid}\n[0] half a line\n`])
})

const UNDER_A_DEAD_LAUNCHER: [name: string, script: string][] = [
  ['idle ranks', IDLE],
  ['ranks that never turn their event loop', `console.log('pid ' + process.pid)\nfor (;;);`],
  [
    'ranks that ignore SIGTERM',
    `process.on('SIGTERM', () => {})
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
${IDLE}`,
  ],
  [
    'what a rank has started',
    `import { spawn } from 'node:child_process'
console.log('pid ' + spawn('sleep', ['300'], { stdio: 'ignore' }).pid)
setInterval(() => {}, 1000)`,
  ],
]
for (const [name, script] of UNDER_A_DEAD_LAUNCHER) {
  test.serial(`SIGKILL of the launcher ends ${name}`, async (t) => {
    const child = startAdasum(t, ['run', '-n', '2', 'work.mjs'], { cwd: folderWith(t, { 'work.mjs': script }) })
    const pids = (await linesOf(child, /pid (\d+)/, 2)).map(Number)
    for (const pid of pids) t.not(processState(pid), undefined)
    child.kill('SIGKILL')
    await waitUntil(() => pids.every((pid) => processState(pid) === undefined), 'all have ended')
  })
}
