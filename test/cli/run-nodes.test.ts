/** Two machines, played by two loopback addresses of one. */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { folderWith, installPackages } from '../_user-folder.ts'
import { compile, outcomeOf, runAdasum, sortedLines, startAdasum, waitUntil } from './_adasum.ts'

test.before(compile)

const SECRET = '5ec2e7d1a09b4f83'.repeat(4)

const PRINT_PLACE = `
const { ADASUM_RANK: rank, ADASUM_SIZE: size, ADASUM_LOCAL_RANK: localRank, ADASUM_LOCAL_SIZE: localSize,
  ADASUM_STORE: store, ADASUM_STORE_HOST: storeHost, ADASUM_SECRET: secret, ADASUM_HOST: host } = process.env
console.log([rank, size, localRank, localSize, store, storeHost, secret, host].join(' '))`

/** A port that nothing listens on, at the address that plays node 0. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function runTwoNodes(
  t: ExecutionContext,
  script: string,
  options: readonly string[][] = [[], []],
  env: Record<string, string> = { ADASUM_SECRET: SECRET },
) {
  const cwd = folderWith(t, { 'script.mjs': script, secret: `${SECRET}\n` })
  installPackages(cwd)
  const store = `127.0.0.1:${await freePort()}`
  const runs = [0, 1].map((node) => {
    const place = ['--nodes', '2', '--node', String(node), '--store', store]
    return runAdasum(t, ['run', '-n', '2', ...place, ...options[node]!, 'script.mjs'], { cwd, env })
  })
  return { store, runs: await Promise.all(runs) }
}

function placesOf(stdout: string): string[] {
  return sortedLines(stdout).map((line) => line.replace(/^\[\d+\] /, ''))
}

test('ranks are counted over both nodes and meet at the store of node 0', async (t) => {
  const { store, runs } = await runTwoNodes(t, PRINT_PLACE, [[], ['--host', '127.0.0.2']])
  for (const [node, { exitCode, stdout, stderr }] of runs.entries()) {
    t.deepEqual([exitCode, stderr], [0, ''])
    const host = ['127.0.0.1', '127.0.0.2'][node]!
    const expected = [0, 1].map((local) => `${node * 2 + local} 4 ${local} 2 ${store} launcher ${SECRET} ${host}`)
    t.deepEqual(placesOf(stdout), expected)
  }
})

test('the secret may come from a file', async (t) => {
  const options = [
    ['--secret-file', 'secret'],
    ['--secret-file', 'secret'],
  ]
  const { runs } = await runTwoNodes(t, PRINT_PLACE, options, {})
  for (const { exitCode, stdout } of runs) {
    t.is(exitCode, 0)
    for (const place of placesOf(stdout)) t.true(place.includes(` ${SECRET} `))
  }
})

test('a store whose port is taken is refused before any rank starts', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const args = ['run', '-n', '1', '--store', `127.0.0.1:${port}`, 'script.mjs']
  const cwd = folderWith(t, { 'script.mjs': 'console.log("started")' })
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd })
  t.deepEqual([exitCode, stdout], [1, ''])
  t.regex(stderr, new RegExp(`^adasum run: ERR_STORE: [^\n]*127\\.0\\.0\\.1:${port}[^\n]*\n$`))
})

const COLLECTIVE = `
import { connect } from 'adasum'
const comm = await connect()
const { result } = await comm.allReduce(new Float32Array([comm.rank, 1]), { op: 'sum' })
console.log([comm.rank, comm.size, comm.localRank, comm.localSize, ...result].join(' '))
await comm.close()`

test('the ranks of two nodes reduce together', async (t) => {
  const { runs } = await runTwoNodes(t, COLLECTIVE, [[], ['--host', '127.0.0.2']])
  const lines = runs.flatMap(({ exitCode, stdout, stderr }) => {
    t.deepEqual([exitCode, stderr], [0, ''])
    return placesOf(stdout)
  })
  t.deepEqual(lines.sort(), ['0 4 0 2 6 4', '1 4 1 2 6 4', '2 4 0 2 6 4', '3 4 1 2 6 4'])
})

test('a store that listens on all addresses is reached at any of them, and by its own ranks at home', async (t) => {
  // The address that is given is another one of this machine: nothing but the wildcard listens there.
  const cwd = folderWith(t, { 'script.mjs': `${COLLECTIVE}\nconsole.log(process.env.ADASUM_STORE)` })
  installPackages(cwd)
  const port = await freePort()
  const runs = [0, 1].map((node) => {
    const place = ['--nodes', '2', '--node', String(node), '--store', `127.0.0.5:${port}`]
    const listen = node === 0 ? ['--listen', '0.0.0.0'] : []
    return runAdasum(t, ['run', '-n', '1', ...place, ...listen, 'script.mjs'], { cwd, env: { ADASUM_SECRET: SECRET } })
  })
  const places = (await Promise.all(runs)).map(({ exitCode, stdout, stderr }) => {
    t.deepEqual([exitCode, stderr], [0, ''])
    return placesOf(stdout)
  })
  t.true(places[0]!.includes(`127.0.0.1:${port}`))
  t.true(places[1]!.includes(`127.0.0.5:${port}`))
  t.true(places[0]!.includes('0 2 0 1 1 2'))
})

test('a launcher waits for the name of its store, and says so', async (t) => {
  const cwd = folderWith(t, { 'script.mjs': 'console.log("started")' })
  const place = ['--nodes', '2', '--node', '0', '--host', '127.0.0.1', '--store', 'no-such-name.invalid:29500']
  const child = startAdasum(t, ['run', '-n', '1', ...place, 'script.mjs'], { cwd, env: { ADASUM_SECRET: SECRET } })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const notice = /^adasum run: no-such-name\.invalid does not resolve yet \((ENOTFOUND|EAI_AGAIN)\), \d+ s left\n/
  await waitUntil(() => notice.test(said), 'a notice', 30_000)
  child.kill('SIGTERM')
  t.is((await outcomeOf(child)).stdout, '')
})

test('a node whose secret differs does not get in', async (t) => {
  const script = COLLECTIVE.replace('connect()', 'connect({ timeoutMs: 8000 })')
  const cwd = folderWith(t, { 'script.mjs': script })
  installPackages(cwd)
  const store = `127.0.0.1:${await freePort()}`
  const run = (node: number, secret: string) => {
    const place = ['--nodes', '2', '--node', String(node), '--store', store]
    return startAdasum(t, ['run', '-n', '1', ...place, 'script.mjs'], { cwd, env: { ADASUM_SECRET: secret } })
  }
  const outcomes = await Promise.all([outcomeOf(run(0, SECRET)), outcomeOf(run(1, `${SECRET}00`))])
  for (const { exitCode, stdout } of outcomes) t.deepEqual([exitCode, stdout], [1, ''])
  t.regex(outcomes[1].stderr, /ERR_AUTH/)
})

test('a rank that fails on one node ends the other node’s ranks', async (t) => {
  const script = `
import { connect } from 'adasum'
const comm = await connect()
await comm.barrier()
if (comm.rank === 3) process.exit(7)
// Its neighbour must not end before the launcher has seen that rank 3 has.
await comm.barrier().catch((error) => setTimeout(() => Promise.reject(error), 1000))`
  const { runs } = await runTwoNodes(t, script)
  t.is(runs[1]!.exitCode, 7)
  t.regex(runs[1]!.stderr, /adasum run: rank 3 exited with code 7; ending the other ranks\n$/)
  t.is(runs[0]!.exitCode, 1)
  t.regex(runs[0]!.stderr, /ERR_PEER_LOST/)
})
