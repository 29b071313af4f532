/**
 * What the set-up decides to do, seen from outside: in made-up checkouts, with tools that only note that they ran; and
 * what keeps two set-ups apart, and half-made folders from being used.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { completeFolder } from '../../scripts/lib/complete-folder.mjs'
import { withFolderLock } from '../../scripts/lib/folder-lock.mjs'
import { nodeProblem } from '../../scripts/lib/requirements.mjs'
import { Checkout, lock } from './_checkout.ts'

const EVERYTHING = ['cargo', 'cargo --version', 'napi', 'npm', 'tsc']

test('a fresh checkout needs everything; then nothing, and there is nothing to say', async (t) => {
  const checkout = new Checkout(t)
  const first = await checkout.setUp()
  t.deepEqual([first.exitCode, first.stdout, first.calls], [0, '', EVERYTHING])
  for (const name of EVERYTHING.filter((call) => !call.endsWith('--version')))
    t.true(first.stderr.includes(`${name} says hello`))
  t.deepEqual(await checkout.setUp(), { exitCode: 0, stdout: '', stderr: '', calls: [] })
})

const CHANGES: [name: string, change: (checkout: Checkout) => void, calls: string[]][] = [
  ['a TypeScript file', (c) => c.write('ts/src/a.ts', 'changed'), ['tsc']],
  ['a new TypeScript file', (c) => c.write('ts/src/c.ts', ''), ['tsc']],
  ['a Rust file', (c) => c.write('crates/a/src/lib.rs', 'changed'), ['cargo', 'cargo --version', 'napi']],
  ['Cargo.lock', (c) => c.write('Cargo.lock', 'changed'), ['cargo', 'cargo --version', 'napi']],
  ['a test in Rust', (c) => c.write('crates/a/tests/t.rs', 'changed'), []],
  ['the time of a file alone', (c) => utimesSync(join(c.root, 'ts/src/a.ts'), 1, 1), []],
  ['package-lock.json', (c) => c.write('package-lock.json', lock('1.0.1')), ['npm', 'tsc']],
  ['node_modules gone', (c) => c.remove('node_modules'), ['npm']],
  ['dist gone', (c) => c.remove('dist'), ['tsc']],
  ['the addon gone', (c) => c.remove('native/adasum.test.node'), ['cargo', 'cargo --version', 'napi']],
  ['native gone', (c) => c.remove('native'), ['cargo', 'cargo --version', 'napi']],
]
test('only what has changed is done again', async (t) => {
  const checkout = new Checkout(t)
  await checkout.setUp()
  for (const [name, change, calls] of CHANGES) {
    change(checkout)
    const outcome = await checkout.setUp()
    t.deepEqual([outcome.exitCode, outcome.calls], [0, calls], name)
    t.deepEqual((await checkout.setUp()).calls, [], `${name}, again`)
  }
})

test('dependencies that somebody has installed by hand are not installed again', async (t) => {
  const checkout = new Checkout(t)
  await checkout.setUp()
  for (const folder of ['dist', 'native', '.setup']) checkout.remove(folder)
  t.deepEqual((await checkout.setUp()).calls, ['cargo', 'cargo --version', 'napi', 'tsc'])
})

test('one step, and those it needs', async (t) => {
  const checkout = new Checkout(t)
  t.deepEqual((await checkout.setUp(['dependencies'])).calls, ['npm'])
  t.deepEqual((await checkout.setUp(['typescript'])).calls, ['tsc'])
  const unknown = await checkout.setUp(['wsam'])
  t.deepEqual([unknown.exitCode, unknown.calls], [1, []])
  t.is(
    unknown.stderr,
    'setup: there is no step wsam; the steps are dependencies, addon, typescript, wasm, browser, and all',
  )
})

test('the output of a deleted file goes', async (t) => {
  const checkout = new Checkout(t)
  await checkout.setUp()
  t.true(checkout.has('dist/b.d.ts'))
  checkout.write('dist/chunks/chunk-OLD.js', 'of another build')
  checkout.remove('ts/src/b.ts')
  await checkout.setUp()
  t.false(checkout.has('dist/b.d.ts'))
  t.false(checkout.has('dist/chunks/chunk-OLD.js'))
  t.true(checkout.has('dist/a.d.ts'))
  t.true(checkout.has('dist/a.js'))
})

test('what package.json names by its JavaScript is bundled, and the command', async (t) => {
  const checkout = new Checkout(t)
  await checkout.setUp(['typescript'])
  for (const name of ['a', 'part', 'cli/main']) t.is(String(checkout.read(`dist/${name}.js`)), `./ts/src/${name}.ts`)
  t.false(checkout.has('dist/b.js'))
})

for (const name of ['npm', 'cargo', 'napi', 'tsc']) {
  test(`${name} fails: its own words, exit code 1, and another try the next time`, async (t) => {
    const checkout = new Checkout(t)
    const failed = await checkout.setUp([], { FAIL: name, WORDS: `${name} has no room` })
    t.deepEqual([failed.exitCode, failed.stdout], [1, ''])
    t.regex(failed.stderr, new RegExp(`^${name} has no room$`, 'm'))
    t.regex(failed.stderr, new RegExp(`\nsetup: ${name}\\b.* failed with exit code 7$`))
    const next = await checkout.setUp()
    t.is(next.exitCode, 0)
    t.true(next.calls.includes(name))
  })
}

test('no cargo: told how to get Rust before anything else begins', async (t) => {
  const checkout = new Checkout(t)
  checkout.remove('bin/cargo')
  const { exitCode, stderr, calls } = await checkout.setUp()
  t.deepEqual([exitCode, calls], [1, []])
  t.regex(
    stderr,
    /^setup: the native addon needs Rust, and there is no cargo on PATH: install Rust from https:\/\/rustup\.rs.*$/,
  )
})

test('a cargo that does not work: its own words', async (t) => {
  const checkout = new Checkout(t)
  const { exitCode, stderr, calls } = await checkout.setUp([], {
    FAIL: 'cargo --version',
    WORDS: 'no toolchain chosen',
  })
  t.deepEqual([exitCode, calls], [1, ['cargo --version']])
  t.regex(
    stderr,
    /no toolchain chosen\nsetup: the native addon needs Rust, and cargo --version failed with exit code 7/,
  )
})

test('no linker: cargo’s words, then plain ones', async (t) => {
  const checkout = new Checkout(t)
  const words = 'error: linker `cc` not found\n  |\n  = note: No such file or directory (os error 2)'
  const { exitCode, stderr } = await checkout.setUp([], { FAIL: 'cargo', WORDS: words })
  t.is(exitCode, 1)
  t.true(stderr.includes(words))
  t.regex(
    stderr,
    /\nsetup: Rust is there, but its linker is not: there is no cc on PATH; install a C compiler.*build-essential/,
  )
})

test('Rust too old: told to update it', async (t) => {
  const words =
    'error: rustc 1.80.0 is not supported by the following packages:\n  adasum-core@0.1.0 requires rustc 1.95'
  const { stderr } = await new Checkout(t).setUp([], { FAIL: 'cargo', WORDS: words })
  t.regex(stderr, /Rust is too old for this project; run: rustup update stable$/)
})

test('Node.js too old: both numbers', (t) => {
  const manifest = { engines: { node: '>=20.19' } }
  for (const good of ['20.19.0', '20.20.2', '22.0.0', '100.1.0']) t.is(nodeProblem(good, manifest), undefined)
  for (const bad of ['20.18.3', '18.20.0', '8.19.0'])
    t.is(nodeProblem(bad, manifest), `Node.js ${bad} is too old: 20.19 or newer is needed (https://nodejs.org)`)
})

test('two at once: the work is done once, and both have it', async (t) => {
  const checkout = new Checkout(t)
  const env = { DELAY_MS: '300' }
  const outcomes = await Promise.all([checkout.start([], env), checkout.start([], env)])
  t.deepEqual(
    outcomes.map(({ exitCode }) => exitCode),
    [0, 0],
  )
  t.deepEqual(checkout.calls(), EVERYTHING)
  const waited = outcomes.filter(({ stderr }) => stderr.includes('another set-up runs in this folder'))
  t.is(waited.length, 1)
  t.is(waited[0]!.stderr, 'setup: another set-up runs in this folder; waiting for it to end')
  t.false(checkout.has('.setup/lock'))
})

test('told to end, it ends its tools, and the next one need not wait', async (t) => {
  const checkout = new Checkout(t)
  const running = checkout.start([], { DELAY_MS: '30000' })
  while (!checkout.calls().includes('cargo --version')) await sleep(20)
  running.kill('SIGTERM')
  t.is((await running).exitCode, 143)
  t.false(checkout.has('.setup/lock'))
  t.is((await checkout.setUp()).exitCode, 0)
})

test('a dead lock is taken over, by one of those who wait', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-lock-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'lock')
  mkdirSync(path)
  let inside = 0
  let waited = 0
  const work = async () => {
    inside += 1
    t.is(inside, 1)
    await sleep(50)
    inside -= 1
  }
  const options = { deadAfterMs: 300, onWait: () => void waited++ }
  await Promise.all(Array.from({ length: 8 }, () => withFolderLock(path, work, options)))
  t.is(waited, 8)
  t.false(existsSync(path))
  t.false(existsSync(`${path}.removing`))
})

test('a lock whose owner lives is not taken, however long it works', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-lock-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'lock')
  const order: string[] = []
  const work = async () => {
    await sleep(4_000)
    order.push('owner')
  }
  const owner = withFolderLock(path, work, { touchEveryMs: 200 })
  const waiter = withFolderLock(path, async () => void order.push('waiter'), { deadAfterMs: 3_000 })
  await Promise.all([owner, waiter])
  t.deepEqual(order, ['owner', 'waiter'])
})

test('a lock that is let go between two looks at it is not taken for a dead one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'adasum-lock-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'lock')
  // It cannot be made, and nothing is there.
  symlinkSync(join(folder, 'nowhere'), path)
  const isHeld = withFolderLock(path, () => Promise.resolve(true), { deadAfterMs: 1 })
  await sleep(250)
  rmSync(path)
  t.true(await isHeld)
})

/** The path of a folder that is not there yet. */
function absentFolder(t: ExecutionContext): string {
  const parent = mkdtempSync(join(tmpdir(), 'adasum-complete-'))
  t.teardown(() => rmSync(parent, { recursive: true, force: true }))
  return join(parent, 'made')
}

/** Fills a folder with a file, and counts how often that was done. */
function maker(text: string) {
  const counts = { calls: 0 }
  const make = async (building: string): Promise<void> => {
    counts.calls += 1
    writeFileSync(join(building, 'file'), text)
  }
  return { counts, make }
}

const fileIn = (folder: string): string => readFileSync(join(folder, 'file'), 'utf8')

test('a complete folder is made once, and again from another recipe', async (t) => {
  const folder = absentFolder(t)
  const [first, second] = [maker('first'), maker('second')]
  await completeFolder(folder, 'a', first.make)
  await completeFolder(folder, 'a', second.make)
  t.deepEqual([fileIn(folder), first.counts.calls, second.counts.calls], ['first', 1, 0])
  await completeFolder(folder, 'b', second.make)
  t.deepEqual([fileIn(folder), second.counts.calls], ['second', 1])
})

test('making a folder that fails half-way leaves nothing, and keeps the folder of an earlier recipe', async (t) => {
  const folder = absentFolder(t)
  const half = async (building: string): Promise<void> => {
    writeFileSync(join(building, 'half'), '')
    throw new Error('the network is gone')
  }
  await t.throwsAsync(completeFolder(folder, 'a', half), { message: 'the network is gone' })
  t.false(existsSync(folder))
  await completeFolder(folder, 'a', maker('whole').make)
  t.false(existsSync(join(folder, 'half')))
  await t.throwsAsync(completeFolder(folder, 'b', half))
  t.is(fileIn(folder), 'whole')
})

/** A process that makes the folder: it says when it is in the middle of it, and goes on when it is told to. */
function startMaking(t: ExecutionContext, folder: string) {
  const program = `
import { writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { completeFolder } from ${JSON.stringify(new URL('../../scripts/lib/complete-folder.mjs', import.meta.url).href)}
await completeFolder(${JSON.stringify(folder)}, 'a', async (building) => {
  writeFileSync(building + '/half', '')
  console.log('half-way')
  await once(process.stdin, 'data')
  writeFileSync(building + '/file', 'by the first')
})
process.exit()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

test('who comes while another process makes a folder waits, and finds it', async (t) => {
  const folder = absentFolder(t)
  const child = startMaking(t, folder)
  await once(child.stdout, 'data')
  const { counts, make } = maker('by the second')
  await completeFolder(folder, 'a', make, { onWait: () => child.stdin.write('go on\n') })
  t.deepEqual([fileIn(folder), counts.calls], ['by the first', 0])
})

test('a process that is killed while it makes a folder leaves nothing that is taken for complete', async (t) => {
  const folder = absentFolder(t)
  const child = startMaking(t, folder)
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.false(existsSync(folder))
  await completeFolder(folder, 'a', maker('whole').make)
  t.is(fileIn(folder), 'whole')
  t.false(existsSync(join(folder, 'half')))
})
