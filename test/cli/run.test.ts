import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { ROOT, folderWith, installPackages } from '../_user-folder.ts'
import { compile, runAdasum, sortedLines } from './_adasum.ts'

test.before(compile)

const PRINT_PLACE = `
const { ADASUM_RANK: rank, ADASUM_SIZE: size, ADASUM_LOCAL_RANK: localRank, ADASUM_LOCAL_SIZE: localSize,
  ADASUM_STORE: store, ADASUM_STORE_HOST: storeHost, ADASUM_SECRET: secret, ADASUM_HOST: host } = process.env
console.log(JSON.stringify({ rank, size, localRank, localSize, store, storeHost, secret, host, argv: process.argv.slice(2),
  execArgv: process.execArgv }))`

interface Place {
  rank: string
  size: string
  localRank: string
  localSize: string
  store: string
  storeHost: string
  secret: string
  host?: string
  argv: string[]
  execArgv: string[]
}

function places(stdout: string): Place[] {
  return sortedLines(stdout).map((line) => JSON.parse(line.replace(/^\[\d+\] /, '')) as Place)
}

test('every rank learns its place, and all one store and one fresh secret', async (t) => {
  const cwd = folderWith(t, { 'place.mjs': PRINT_PLACE })
  const runs = [0, 1].map(() => runAdasum(t, ['run', '-n', '3', 'place.mjs'], { cwd }))
  const [first, second] = (await Promise.all(runs)).map(({ exitCode, stdout, stderr }) => {
    t.is(stderr, '')
    t.is(exitCode, 0)
    return places(stdout)
  })
  t.deepEqual(
    first!.map(({ rank, size, localRank, localSize, storeHost }) => [rank, size, localRank, localSize, storeHost]),
    [0, 1, 2].map((rank) => [`${rank}`, '3', `${rank}`, '3', 'launcher']),
  )
  for (const run of [first!, second!]) {
    t.regex(run[0]!.store, /^127\.0\.0\.1:\d+$/)
    t.regex(run[0]!.secret, /^[0-9a-f]{64}$/)
    for (const { store, secret } of run) t.deepEqual([store, secret], [run[0]!.store, run[0]!.secret])
  }
  t.not(first![0]!.secret, second![0]!.secret)
})

test('the secret stands on no command line', async (t) => {
  const script = `
import { readFileSync } from 'node:fs'
const isOnCommandLine = (pid) => readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes(process.env.ADASUM_SECRET)
console.log([process.pid, process.ppid].map(isOnCommandLine).join())`
  const { stdout } = await runAdasum(t, ['run', '-n', '1', 'look.mjs'], { cwd: folderWith(t, { 'look.mjs': script }) })
  t.is(stdout, '[0] false,false\n')
})

test('what follows the script is the script’s own', async (t) => {
  const cwd = folderWith(t, { 'place.mjs': PRINT_PLACE })
  for (const separator of [[], ['--']]) {
    const args = ['run', '-n', '1', ...separator, 'place.mjs', '--epochs', '3', '-n', '7', '--', '--json']
    const { stdout } = await runAdasum(t, args, { cwd })
    t.deepEqual(places(stdout)[0]?.argv, ['--epochs', '3', '-n', '7', '--', '--json'])
  }
})

test('--node-option hands options to Node.js, in order', async (t) => {
  const cwd = folderWith(t, { 'place.mjs': PRINT_PLACE })
  const args = [
    'run',
    '-n',
    '1',
    '--node-option=--max-old-space-size=99',
    '--node-option',
    '--no-warnings',
    'place.mjs',
  ]
  const { stdout } = await runAdasum(t, args, { cwd })
  t.deepEqual(places(stdout)[0]?.execArgv.slice(-2), ['--max-old-space-size=99', '--no-warnings'])
})

/** What ranks have in their environment under these names, in rank order. */
async function variablesOf(
  t: ExecutionContext,
  options: string[],
  env: Record<string, string>,
): Promise<(string | undefined)[][]> {
  const names = ['TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS', 'CUDA_VISIBLE_DEVICES']
  const script = `console.log(JSON.stringify(${JSON.stringify(names)}.map((name) => process.env[name] ?? 'unset')))`
  const cwd = folderWith(t, { 'print.mjs': script })
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', ...options, 'print.mjs'], { cwd, env })
  t.is(exitCode, 0, stderr)
  return sortedLines(stdout).map((line) => JSON.parse(line.replace(/^\[\d+\] /, '')) as string[])
}

test('TensorFlow gets a share of the cores for each rank, unless the user has said how many', async (t) => {
  const cores = availableParallelism()
  for (const size of [1, 2, cores + 1]) {
    const share = `${size > cores ? 1 : Math.floor(cores / size)}`
    const found = await variablesOf(t, ['-n', `${size}`], {})
    t.deepEqual(found, Array(size).fill([share, share, 'unset']))
  }
  const share = `${Math.max(1, Math.floor(cores / 2))}`
  const [first, second] = await variablesOf(t, ['-n', '2'], { TF_NUM_INTRAOP_THREADS: '7' })
  t.deepEqual([first, second], Array(2).fill(['7', share, 'unset']))
})

const DEVICES: [gpus: string[], env: Record<string, string>, found: string[]][] = [
  [[], {}, ['unset', 'unset']],
  [[], { CUDA_VISIBLE_DEVICES: '3,1' }, ['3,1', '3,1']],
  [['1'], {}, ['0', '1']],
  [['3'], {}, ['0,1,2', '3,4,5']],
  [['2'], { CUDA_VISIBLE_DEVICES: '7, 5,GPU-8932f937,1,0' }, ['7,5', 'GPU-8932f937,1']],
]

test('--gpus-per-rank shows each rank devices of its own, of those that CUDA would show', async (t) => {
  for (const [gpus, env, expected] of DEVICES) {
    const options = ['-n', '2', ...gpus.flatMap((count) => ['--gpus-per-rank', count])]
    const found = await variablesOf(t, options, env)
    t.deepEqual(found.map(([, , devices]) => devices), expected) // prettier-ignore
  }
})

test('--gpus-per-rank counts ranks of this machine, not of the world', async (t) => {
  const options = ['--nodes', '2', '--node', '1', '--store', '127.0.0.1:1', '--gpus-per-rank', '2', '-n', '2']
  const found = await variablesOf(t, options, { ADASUM_SECRET: 'k', CUDA_VISIBLE_DEVICES: '4,5,6,7' })
  t.deepEqual(found.map(([, , devices]) => devices), ['4,5', '6,7']) // prettier-ignore
})

test('too few devices: how many are needed and there; nothing starts', async (t) => {
  const cwd = folderWith(t, { 'print.mjs': 'console.log("started")' })
  for (const [list, count] of [
    ['0,1,2', 3],
    ['', 0],
    ['0,-1,1,2', 1],
  ] as const) {
    const args = ['run', '-n', '2', '--gpus-per-rank', '2', 'print.mjs']
    const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd, env: { CUDA_VISIBLE_DEVICES: list } })
    t.not(exitCode, 0)
    t.is(stdout, '')
    t.true(stderr.includes(`--gpus-per-rank 2 for -n 2 needs 4 devices, but CUDA_VISIBLE_DEVICES="${list}" shows ${count}`), stderr) // prettier-ignore
  }
})

test('lines carry their rank, stdout and stderr apart, unfinished ones at the end', async (t) => {
  const script = `
const { ADASUM_RANK: rank } = process.env
console.log('first ' + rank)
console.log('')
console.error('error ' + rank)
process.stdout.write('cut')
await new Promise((resolve) => setTimeout(resolve, 50))
process.stdout.write(' and whole\\nunfinished')`
  const cwd = folderWith(t, { 'lines.mjs': script })
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '2', 'lines.mjs'], { cwd })
  t.is(exitCode, 0)
  for (const rank of [0, 1]) {
    const own = stdout.split('\n').filter((line) => line.startsWith(`[${rank}] `))
    t.deepEqual(
      own,
      [`first ${rank}`, '', 'cut and whole', 'unfinished'].map((line) => `[${rank}] ${line}`),
    )
  }
  t.is(stdout.split('\n').length, 9)
  t.deepEqual(sortedLines(stderr), ['[0] error 0', '[1] error 1'])
})

test('100,000 lines of four ranks arrive complete and unmixed', async (t) => {
  const script = `for (let i = 0; i < 25000; i++) console.log(process.env.ADASUM_RANK + ':' + i)`
  const cwd = folderWith(t, { 'many.mjs': script })
  const { stdout } = await runAdasum(t, ['run', '-n', '4', 'many.mjs'], { cwd })
  const next = [0, 0, 0, 0]
  for (const line of stdout.trimEnd().split('\n')) {
    const rank = Number(line[1])
    if (line !== `[${rank}] ${rank}:${next[rank]}`) return t.fail(`${line} where line ${next[rank]} was due`)
    next[rank]! += 1
  }
  t.deepEqual(next, [25000, 25000, 25000, 25000])
})

test('--only shows one rank as it is and hides the rest', async (t) => {
  const script = `
console.log('out ' + process.env.ADASUM_RANK)
console.error('err ' + process.env.ADASUM_RANK)`
  const cwd = folderWith(t, { 'talk.mjs': script })
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '3', '--only', '1', 'talk.mjs'], { cwd })
  t.deepEqual({ exitCode, stdout, stderr }, { exitCode: 0, stdout: 'out 1\n', stderr: 'err 1\n' })
})

test('--only still tells what a hidden rank said that fails', async (t) => {
  const script = `
if (process.env.ADASUM_RANK === '2') throw new Error('no such file of digits')
setInterval(() => {}, 1000)`
  const cwd = folderWith(t, { 'fail.mjs': script })
  const { exitCode, stderr } = await runAdasum(t, ['run', '-n', '3', '--only', '0', 'fail.mjs'], { cwd })
  t.is(exitCode, 1)
  t.regex(stderr, /^\[2\] Error: no such file of digits$/m)
  t.regex(stderr, /\nadasum run: rank 2 exited with code 1; ending the other ranks\n$/)
})

test('a TypeScript script runs through tsx, wherever it is installed for the working folder', async (t) => {
  const cwd = folderWith(t, {
    'typed.ts': 'const rank: number = Number(process.env.ADASUM_RANK)\nconsole.log(rank + 1)',
  })
  installPackages(cwd)
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '2', 'typed.ts'], { cwd })
  t.deepEqual([exitCode, sortedLines(stdout), stderr], [0, ['[0] 1', '[1] 2'], ''])
})

// Newer versions of Node.js need no tsx for it.
const withoutTypes = (process.features as { typescript?: unknown }).typescript ? test.skip : test
withoutTypes('a TypeScript script without tsx is refused by name', async (t) => {
  const cwd = folderWith(t, { 'typed.ts': 'console.log("started")' })
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '2', 'typed.ts'], { cwd })
  t.deepEqual([exitCode, stdout], [2, ''])
  t.regex(
    stderr,
    /^adasum run: .*typed\.ts is TypeScript.* tsx is not installed here: run npm install --save-dev tsx\n$/,
  )
})

test('the watch over the launcher leaves workers and forked processes of a script alone', async (t) => {
  const script = `
import { fork } from 'node:child_process'
import { Worker, isMainThread, parentPort } from 'node:worker_threads'
if (process.argv[2] === 'child') process.send('from the child', () => process.disconnect())
else if (!isMainThread) parentPort.postMessage('from the thread')
else {
  fork(process.argv[1], ['child']).on('message', (text) => console.log(text))
  new Worker(process.argv[1]).on('message', (text) => console.log(text))
}`
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '1', 'family.mjs'], {
    cwd: folderWith(t, { 'family.mjs': script }),
  })
  t.deepEqual([exitCode, sortedLines(stdout), stderr], [0, ['[0] from the child', '[0] from the thread'], ''])
})

const WRONG: [name: string, args: string[], message: RegExp][] = [
  ['no count', ['place.mjs'], /-n <count> is missing/],
  ['a count of zero', ['-n', '0', 'place.mjs'], /'0' is invalid\. It must be a whole number from 1 to 1024/],
  ['a count in words', ['-n', 'four', 'place.mjs'], /'four' is invalid/],
  ['a fraction', ['-n', '1.5', 'place.mjs'], /'1\.5' is invalid/],
  ['a negative count', ['-n', '-1', 'place.mjs'], /'-1' is invalid/],
  ['too many', ['-n', '1025', 'place.mjs'], /'1025' is invalid\. It must be a whole number from 1 to 1024/],
  [
    'too many on all nodes together',
    ['-n', '600', '--nodes', '2', '--store', '127.0.0.1:29500', '--secret-file', 'place.mjs', 'place.mjs'],
    /-n 600 on --nodes 2 makes 1200 ranks, but this version connects at most 1024 in all/,
  ],
  ['an unknown option', ['-n', '1', '--olny', '0', 'place.mjs'], /unknown option '--olny' \(Did you mean --only\?\)/],
  ['no script', ['-n', '2'], /missing required argument 'script'/],
  ['a script that does not exist', ['-n', '2', 'absent.mjs'], /there is no script .*absent\.mjs; nothing was started/],
  ['a folder for a script', ['-n', '2', '.'], /is not a file; nothing was started/],
  ['a rank to show beyond the last', ['-n', '2', '--only', '2', 'place.mjs'], /--only 2 is no rank.* from 0 to 1/],
  [
    'a node beyond the last',
    ['-n', '1', '--nodes', '2', '--node', '2', 'place.mjs'],
    /--node 2 is not among --nodes 2/,
  ],
  ['nodes without a store', ['-n', '1', '--nodes', '2', 'place.mjs'], /--nodes 2 needs --store host:port/],
  ['a store without a port', ['-n', '1', '--store', 'here', 'place.mjs'], /--store here is not host:port/],
  [
    'nodes with a store on any port',
    ['-n', '1', '--nodes', '2', '--store', '127.0.0.1:0', 'place.mjs'],
    /needs a port other than 0/,
  ],
  [
    'nodes without a secret',
    ['-n', '1', '--nodes', '2', '--store', '127.0.0.1:29500', 'place.mjs'],
    /--nodes 2 needs one secret for all machines, in ADASUM_SECRET or --secret-file/,
  ],
  [
    'an absent secret file',
    ['-n', '1', '--secret-file', 'absent', 'place.mjs'],
    /--secret-file cannot be read: ENOENT/,
  ],
  ['an empty secret file', ['-n', '1', '--secret-file', 'empty', 'place.mjs'], /--secret-file empty is empty/],
]
for (const [name, args, message] of WRONG) {
  test(`refused in one line, nothing started: ${name}`, async (t) => {
    const cwd = folderWith(t, {
      'place.mjs': `import { writeFileSync } from 'node:fs'\nwriteFileSync('started', '')`,
      empty: '\n',
    })
    const { exitCode, stdout, stderr } = await runAdasum(t, ['run', ...args], { cwd })
    t.deepEqual([exitCode, stdout], [2, ''])
    t.regex(stderr, message)
    t.regex(stderr, /^adasum run: [^\n]+\n$/)
    t.false(existsSync(join(cwd, 'started')))
  })
}

test('unknown commands and options are refused in one line', async (t) => {
  for (const [word, message] of [
    ['fly', "adasum: unknown command 'fly'\n"],
    ['--fly', "adasum: unknown option '--fly'\n"],
  ] as const) {
    const { exitCode, stdout, stderr } = await runAdasum(t, [word], { cwd: ROOT })
    t.deepEqual([exitCode, stdout, stderr], [2, '', message])
  }
})

test('--version and --help answer on stdout', async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  t.deepEqual(await runAdasum(t, ['--version'], { cwd: ROOT }), { exitCode: 0, stdout: `${version}\n`, stderr: '' })
  const help = await runAdasum(t, ['run', '--help'], { cwd: ROOT })
  t.deepEqual([help.exitCode, help.stderr], [0, ''])
  for (const option of [
    '--ranks',
    '--only',
    '--node-option',
    '--nodes',
    '--node ',
    '--store',
    '--host',
    '--secret-file',
  ])
    t.true(help.stdout.includes(option), option)
})
