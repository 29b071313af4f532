/** Under Node's permission model: a rank or a launcher that may do less works as far as it may, or says what it lacks. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'
import { folderWith, installPackages } from '../_user-folder.ts'
import { execa } from 'execa'
import { ROOT, compile, linesOf, processState, runAdasum, sortedLines, startAdasum, waitUntil } from './_adasum.ts'

test.before(compile)

/** As the versions of Node.js name it. */
const PERMISSION = ['--permission', '--experimental-permission'].find(
  (option) => spawnSync(process.execPath, [option, '--allow-fs-read=*', '--eval', '0']).status === 0,
)!
const MAY_READ = ['--allow-fs-read=*', '--no-warnings']
const nodeOptions = (...options: string[]): string[] =>
  [PERMISSION, ...MAY_READ, ...options].map((option) => `--node-option=${option}`)

const RANKS = `
import { connect } from 'adasum'
const comm = await connect()
console.log((await comm.allGather(Int32Array.of(comm.rank))).join())
await comm.close()`

for (const allowed of [[], ['--allow-addons'], ['--allow-worker', '--allow-addons']])
  test.serial(`ranks with ${allowed.join(' ') || 'nothing but files to read'}`, async (t) => {
    const cwd = folderWith(t, { 'ranks.mjs': RANKS })
    installPackages(cwd)
    const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '2', ...nodeOptions(...allowed), 'ranks.mjs'], { cwd }) // prettier-ignore
    t.deepEqual([stderr, sortedLines(stdout), exitCode], ['', ['[0] 0,1', '[1] 0,1'], 0])
  })

const SPEAKING = ['--allow-fs-read=*', '--allow-addons', '--disable-warning=ExperimentalWarning']

test.serial('a rank whose heartbeat may have no thread says so once, and works', async (t) => {
  const cwd = folderWith(t, {
    'ranks.mjs': `
import { connect } from 'adasum'
const comm = await connect()
const [part] = await Promise.all([comm.split(0), comm.barrier()])
console.log((await part.allGather(Int32Array.of(comm.rank))).join())
await comm.close()`,
  })
  installPackages(cwd)
  const options = [PERMISSION, ...SPEAKING].map((option) => `--node-option=${option}`)
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '2', ...options, 'ranks.mjs'], { cwd })
  t.deepEqual([sortedLines(stdout), exitCode], [['[0] 0,1', '[1] 0,1'], 0], stderr)
  for (const rank of [0, 1]) {
    const said = sortedLines(stderr).filter((line) => line.startsWith(`[${rank}]`) && line.includes('ADASUM_HEARTBEAT'))
    t.is(said.length, 1, stderr)
    t.regex(said[0]!, /has no thread of its own .*counts as lost\. Allow worker threads \(--allow-worker\)/)
  }
})

test.serial('ranks that may have no thread notice the end of their launcher all the same', async (t) => {
  const cwd = folderWith(t, { 'idle.mjs': `console.log('pid ' + process.pid)\nsetInterval(() => {}, 1000)` })
  const child = startAdasum(t, ['run', '-n', '2', ...nodeOptions(), 'idle.mjs'], { cwd })
  const pids = (await linesOf(child, /pid (\d+)/, 2)).map(Number)
  child.kill('SIGKILL')
  await waitUntil(() => pids.every((pid) => processState(pid) === undefined), 'all have ended')
  t.pass()
})

test.serial('a rank that comes to its end is not kept alive by the watch over the launcher', async (t) => {
  const cwd = folderWith(t, { 'short.mjs': `console.log('done')` })
  const { exitCode, stdout } = await runAdasum(t, ['run', '-n', '1', ...nodeOptions(), 'short.mjs'], { cwd })
  t.deepEqual([exitCode, stdout], [0, '[0] done\n'])
})

test.serial('a launcher that may start no process says so in one line', async (t) => {
  const cwd = folderWith(t, { 'ranks.mjs': RANKS })
  const args = [PERMISSION, ...MAY_READ, join(ROOT, 'bin', 'adasum.js'), 'run', '-n', '2', 'ranks.mjs']
  const { exitCode, stdout, stderr } = await execa(process.execPath, args, { cwd, reject: false })
  t.deepEqual([exitCode, stdout], [1, ''])
  t.regex(stderr, /^adasum run: Node\.js may start no process here[^\n]*--allow-child-process[^\n]*$/)
})

test.serial('what needs the addon says what keeps it away', async (t) => {
  const cwd = folderWith(t, { 'local.mjs': `import { adasumSync } from 'adasum'\nadasumSync([Float32Array.of(1)])` })
  installPackages(cwd)
  const options = { cwd, reject: false, env: { ADASUM_BINDING: 'native' } }
  const { stderr } = await execa(process.execPath, [PERMISSION, ...MAY_READ, 'local.mjs'], options)
  t.regex(stderr, /AdasumError \[ERR_BINDING\]: ADASUM_BINDING is native, but .*--no-addons.*--allow-addons/)
})
