/** Processes that may have few files open: arrays in shared memory leave some for connections, and errors say what is missing. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { folderWith, installPackages } from '../_user-folder.ts'
import { ROOT, compile } from '../cli/_adasum.ts'

compile()

const LIMIT = 256

/** Two ranks of a program, each of which may have 256 files open. */
async function runLimited(t: ExecutionContext, program: string) {
  const folder = folderWith(t, { 'rank.mjs': program })
  installPackages(folder)
  const command = [`ulimit -n ${LIMIT}; exec "$0" "$@"`, process.execPath, join(ROOT, 'bin', 'adasum.js')]
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ADASUM_')))
  const child = spawn('sh', ['-c', ...command, 'run', '-n', '2', 'rank.mjs'], { cwd: folder, env })
  t.teardown(() => child.kill('SIGKILL'))
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
  const [exitCode] = (await once(child, 'close')) as [number]
  return { exitCode, ...said }
}

const limitedTest = HAS_SHARED_MEMORY ? test.serial : test.serial.skip

limitedTest(
  'more arrays than files may be open: further ones are of the heap, with one warning, and all can be reduced',
  async (t) => {
    const { exitCode, stdout, stderr } = await runLimited(
      t,
      `
import { connect } from 'adasum'
const comm = await connect()
const arrays = Array.from({ length: 300 }, () => comm.allocate('f32', 20_000).fill(comm.rank + 1))
for (const array of [arrays[0], arrays.at(-1)]) {
  await comm.allReduce(array, { op: 'sum' })
  if (array.some((x) => x !== 3)) throw new Error('a wrong sum')
}
const { sharedBytes } = comm.metrics().calls[0]
console.log(sharedBytes === 2 * 80_000)
await comm.close()
`,
    )
    t.is(exitCode, 0, stderr)
    t.deepEqual(stdout.trim().split('\n').sort(), ['[0] true', '[1] true'])
    const warning = /128 arrays in shared memory hold half of the 256 files .* Raise the limit \(ulimit -n\)/g
    t.is(stderr.match(warning)?.length, 2, stderr)
  },
)

limitedTest('arrays that nobody uses any more leave their files to others', async (t) => {
  const { exitCode, stdout, stderr } = await runLimited(
    t,
    `
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { connect } from 'adasum'
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
const comm = await connect()
for (let round = 0; round < 10; round++) {
  for (let i = 0; i < 100; i++) comm.allocate('f32', 20_000)
  for (let turn = 0; turn < 4; turn++) {
    collect()
    await nextTurn()
  }
}
console.log('done')
await comm.close()
`,
  )
  t.deepEqual([exitCode, stderr], [0, ''])
  t.is(stdout.match(/done/g)?.length, 2)
})

limitedTest(
  'no file is left for a connection: ERR_OPEN_FILES, with the limit, and no word of a firewall',
  async (t) => {
    const { exitCode, stdout, stderr } = await runLimited(
      t,
      `
import { openSync } from 'node:fs'
import { connect } from 'adasum'
const comm = await connect()
if (comm.rank === 1) try { for (;;) openSync('/dev/null') } catch {}
try {
  await comm.allReduce(new Float32Array(100_000), { op: 'sum' })
} catch ({ code, message }) {
  if (comm.rank === 1) console.log(code, message)
}
process.exit(1)
`,
    )
    t.is(exitCode, 1)
    t.regex(stdout, /^\[1\] ERR_OPEN_FILES .*rank 0 .*this process has all 256 files and connections open .*ulimit -n/m)
    t.notRegex(stdout + stderr, /firewall/)
  },
)
