/** Shared memory between real processes: the bits of TCP, what takes its place where it cannot be had, and what is left. */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { hostStore } from '../../ts/src/rendezvous/stores/tcp/host-store.ts'
import { folderWith, installPackages } from '../_user-folder.ts'
import { sampleOf } from '../_sample.ts'
import { ROOT, compile, runAdasum } from '../cli/_adasum.ts'
import { lastingLeftovers, runKills } from './_kills.mjs'

compile()

const DIGESTS = fileURLToPath(new URL('_digests.mjs', import.meta.url))

/** The pairs of dtypes and operators, by their numbers in _digests.mjs. */
const PAIRS = Array.from({ length: 26 }, (_, number) => number)

async function digests(
  t: ExecutionContext,
  size: number,
  count: number,
  env: Record<string, string>,
  pairs: readonly number[] = PAIRS,
) {
  const args = ['run', '-n', `${size}`, '--only', '0', DIGESTS, `${count}`, pairs.join()]
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
  t.is(exitCode, 0, stderr)
  const lines = stdout.trim().split('\n')
  return { transport: lines.pop(), lines, stderr }
}

/** What all pairs come to over TCP, computed once for each world. */
const overTcp = new Map<number, Awaited<ReturnType<typeof digests>>>()

async function digestsOverTcp(t: ExecutionContext, size: number, count: number) {
  const known = overTcp.get(size) ?? (await digests(t, size, count, { ADASUM_SHARED_MEMORY: '0' }))
  overTcp.set(size, known)
  return known
}

const COUNTS = { 2: 100_003, 3: 200_003 }
const LARGER_WORLDS = [
  [5, 200_003],
  [9, 300_007],
  [17, 600_011],
] as const

if (HAS_SHARED_MEMORY) {
  for (const size of [2, 3] as const)
    test.serial(`the same bits as over TCP: ${size} processes`, async (t) => {
      const tcp = await digestsOverTcp(t, size, COUNTS[size])
      const shared = await digests(t, size, COUNTS[size], {})
      t.deepEqual([tcp.transport, shared.transport], ['transport tcp', 'transport shared-memory'])
      t.is(tcp.lines.length, PAIRS.length * 3)
      t.deepEqual(shared.lines, tcp.lines)
      t.is(shared.stderr, '')
    })

  for (const [size, count] of sampleOf('larger worlds', LARGER_WORLDS, 1))
    test.serial(`the same bits as over TCP: ${size} processes`, async (t) => {
      const pairs = sampleOf(`pairs of ${size}`, PAIRS, 7)
      const tcp = await digests(t, size, count, { ADASUM_SHARED_MEMORY: '0' }, pairs)
      const shared = await digests(t, size, count, {}, pairs)
      t.deepEqual([tcp.transport, shared.transport], ['transport tcp', 'transport shared-memory'])
      t.is(tcp.lines.length, pairs.length * (size > 16 ? 1 : 3))
      t.deepEqual(shared.lines, tcp.lines)
      t.is(shared.stderr, '')
    })

  // Which systems hold memory to the limits of files, and show what processes have, differs.
  const linuxTest = process.platform === 'linux' ? test.serial : test.serial.skip
  linuxTest('where memory cannot be reserved, messages go through the connection', async (t) => {
    // The limit of a file's size goes for memory that is a file, too: 32 KiB.
    const command = ['ulimit -f 64; exec "$0" "$@"', process.execPath, join(ROOT, 'bin', 'adasum.js')]
    const child = spawn('sh', ['-c', ...command, 'run', '-n', '3', '--only', '0', DIGESTS, `${COUNTS[3]}`], {
      cwd: ROOT,
    })
    const said = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const)
      child[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
    const [exitCode] = (await once(child, 'close')) as [number]
    t.is(exitCode, 0, said.stderr)
    const tcp = await digestsOverTcp(t, 3, COUNTS[3])
    t.deepEqual(said.stdout.trim().split('\n').slice(0, -1), tcp.lines)
  })

  test.serial('a limit on what is reserved', async (t) => {
    const tcp = await digestsOverTcp(t, 2, COUNTS[2])
    const limited = await digests(t, 2, COUNTS[2], { ADASUM_SHARED_MEMORY: '500000' })
    t.deepEqual(limited.lines, tcp.lines)
  })

  linuxTest('after SIGKILL at random points no segment, socket and process is left', async (t) => {
    const { problems, seed } = await runKills({ rounds: 3, say: (text) => t.log(text) })
    t.deepEqual(problems, [], `ADASUM_SEED=${seed}`)
    t.deepEqual(await lastingLeftovers(), [])
  })

  // ---- another user

  const SCRIPT = `
import { connect } from 'adasum'
const warnings = []
process.on('warning', ({ code, message }) => code === 'ADASUM_SHARED_MEMORY' && warnings.push(message))
const comm = await connect()
const sums = []
for (let i = 0; i < 3; i++) {
  const { result } = await comm.allReduce(new Float32Array(300_000).fill(comm.rank + 1), { op: 'sum' })
  sums.push(result[299_999])
}
await new Promise(setImmediate)
process.send({ sums, warnings, transport: comm.transport })
await comm.close()
process.disconnect()
`

  const isRoot = process.getuid?.() === 0
  const NOBODY = 65_534

  /** Whether another user may run Node.js and read the package, which lies in folders that may be closed to others. */
  function mayBeRead(): boolean {
    const look = `require('node:fs').readdirSync(${JSON.stringify(join(ROOT, 'dist'))})`
    const { status } = spawnSync(process.execPath, ['-e', look], { uid: NOBODY, gid: NOBODY, stdio: 'ignore' })
    return status === 0
  }

  const title = 'a rank of another user: large messages go through the connection, and every rank says so once'
  if (isRoot && mayBeRead())
    test.serial(title, async (t) => {
      const folder = folderWith(t, { 'rank.mjs': SCRIPT })
      installPackages(folder)
      chmodSync(folder, 0o755)
      const store = await hostStore({ host: '127.0.0.1', port: 0, size: 2, secret: 's' })
      t.teardown(() => store.close())
      const place = { ADASUM_SIZE: '2', ADASUM_STORE: `127.0.0.1:${store.port}`, ADASUM_SECRET: 's' }
      const ranks = [0, 1].map((rank): ChildProcess => {
        const env = { ...process.env, ...place, ADASUM_STORE_HOST: 'launcher', ADASUM_RANK: `${rank}` }
        const user = rank === 1 ? { uid: NOBODY, gid: NOBODY } : {}
        return fork(join(folder, 'rank.mjs'), { cwd: folder, env, execArgv: [], ...user })
      })
      t.teardown(() => ranks.forEach((child) => child.kill('SIGKILL')))
      type Report = { sums: number[]; warnings: string[]; transport: string }
      const reports = (await Promise.all(ranks.map((child) => once(child, 'message')))) as [Report][]
      for (const [{ sums, warnings, transport }] of reports) {
        t.deepEqual(sums, [3, 3, 3])
        t.is(transport, 'tcp')
        t.is(warnings.length, 1)
      }
    })
  else test.skip(`${title} (takes root, and a checkout that others may read)`, () => undefined)
} else test.skip('no memory is shared on this system', () => undefined)
