/** Which implementation a program gets, in packages with and without an addon, seen from outside. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { isMissing } from '../../ts/src/binding/installation.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import type { Report } from '../../ts/src/cli/doctor/report.ts'
import { ROOT } from '../_user-folder.ts'
import { type Outcome, corrupt, installed, none, run, working } from './_installed.ts'

test.before(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'all'], { stdio: 'inherit' })
})

const PROGRAM = `
import { adasum } from 'adasum'
const inputs = [0, 1, 2].map((seed) => Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i * (seed + 1))))
const { result, segments } = await adasum(inputs, { segments: [60_000, 40_000] })
console.log(Buffer.from(result.buffer).toString('base64'), segments.map(({ orthogonality }) => orthogonality).join())
`

async function runProgram(
  folder: string,
  env?: Record<string, string>,
  options: readonly string[] = [],
): Promise<Outcome> {
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
  return run(folder, [...options, 'program.mjs'], env)
}

async function doctor(folder: string, env?: Record<string, string>): Promise<Report> {
  const { stdout } = await run(folder, [join('node_modules', 'adasum', 'bin', 'adasum.js'), 'doctor', '--json'], env)
  return JSON.parse(stdout) as Report
}

test('the addon, WebAssembly and --no-addons give the same bits', async (t) => {
  const folder = installed(t, working)
  const native = await runProgram(folder)
  t.deepEqual([native.exitCode, native.stderr], [0, ''])
  t.true(native.stdout.length > 400_000)
  t.deepEqual(await runProgram(folder, { ADASUM_BINDING: 'native' }), native)
  t.deepEqual(await runProgram(folder, { ADASUM_BINDING: 'wasm' }), native)
  t.deepEqual(await runProgram(folder, {}, ['--no-addons']), native)
  t.is((await doctor(folder)).binding.kind, 'native')
  const { binding, problems } = await doctor(folder, { ADASUM_BINDING: 'wasm' })
  t.deepEqual([binding.loads, binding.kind, binding.isa], [true, 'wasm', 'simd128'])
  t.deepEqual(
    problems.filter(({ section }) => section === 'binding'),
    [],
  )
})

test('no addon for the platform: WebAssembly, one warning, and doctor tells', async (t) => {
  const folder = installed(t, none)
  const outcome = await runProgram(folder)
  t.deepEqual([outcome.exitCode, outcome.stdout], [0, (await runProgram(installed(t, working))).stdout])
  t.is(outcome.stderr.match(/ADASUM_WASM/g)?.length, 1)
  t.regex(
    outcome.stderr,
    /\[ADASUM_WASM\] AdasumWarning: WebAssembly computes, to the same bits but more slowly\. The native/,
  )
  const report = await doctor(folder)
  t.true(report.ok)
  t.is(report.binding.kind, 'wasm')
  const [problem] = report.problems.filter(({ section }) => section === 'binding')
  t.false(problem!.essential)
  t.regex(problem!.message, /native addon for .+ cannot be loaded/)
  const forced = await runProgram(folder, { ADASUM_BINDING: 'native' })
  t.is(forced.exitCode, 1)
  t.regex(forced.stderr, /AdasumError \[ERR_BINDING\].*native addon/)
})

test('an addon that is there and broken is an error, and WebAssembly can be asked for', async (t) => {
  const folder = installed(t, corrupt)
  const outcome = await runProgram(folder)
  t.is(outcome.exitCode, 1)
  t.regex(outcome.stderr, /AdasumError \[ERR_BINDING\].*native addon for .+ cannot be loaded/)
  t.is((await runProgram(folder, { ADASUM_BINDING: 'wasm' })).exitCode, 0)
})

test('wrong settings are refused by name', async (t) => {
  const folder = installed(t, working)
  const misspelt = await runProgram(folder, { ADASUM_BINDING: 'webassembly' })
  t.regex(misspelt.stderr, /AdasumError \[ERR_ENVIRONMENT\].*ADASUM_BINDING is "webassembly": use native or wasm/)
  const contradicting = await runProgram(folder, { ADASUM_BINDING: 'native' }, ['--no-addons'])
  t.regex(contradicting.stderr, /AdasumError \[ERR_BINDING\].*--no-addons/)
})

test('adasum/wasm-inline: the package for browsers, with everything inside', async (t) => {
  const folder = installed(t, none)
  const program = `
import { adasum, adasumSync, connect } from 'adasum/wasm-inline'
const inputs = [Float32Array.of(1, 0), Float32Array.of(0, 2)]
const codeOf = async (call) => { try { await call(); return 'none' } catch ({ code }) { return code } }
console.log(await codeOf(() => adasumSync(inputs)))
const { result } = await adasum(inputs)
console.log(result.join(), adasumSync(inputs).result.join())
const comm = await connect()
console.log(comm.size, comm.metrics().binding.kind, (await comm.allReduce(inputs[1], { op: 'sum' })).result.join())
console.log(await codeOf(() => connect({ rank: 1, size: 2 })))
`
  writeFileSync(join(folder, 'program.mjs'), program)
  const outcome = await run(folder, ['program.mjs'])
  t.deepEqual(outcome, { exitCode: 0, stdout: 'ERR_NOT_READY\n1,2 1,2\n1 wasm 0,2\nERR_UNSUPPORTED', stderr: '' })
})

test('adasum/wasm-inline: a process of Node.js ends by itself, also after a call that let others have their turn', async (t) => {
  const folder = installed(t, none)
  const program = `
import { adasum } from 'adasum/wasm-inline'
let turns = 0
const timer = setInterval(() => turns++, 1)
const { result } = await adasum([1, 2].map((x) => new Float32Array(4_000_000).fill(x)))
clearInterval(timer)
console.log(result.at(-1), turns > 0)
setTimeout(() => { console.log('something keeps the process alive'); process.exit(3) }, 5000).unref()
`
  writeFileSync(join(folder, 'program.mjs'), program)
  t.deepEqual(await run(folder, ['program.mjs']), { exitCode: 0, stdout: '1.5 true', stderr: '' })
})

test('missing is what was not found, and nothing else', (t) => {
  const chain = (...messages: string[]): Error | undefined =>
    messages.reduceRight<Error | undefined>((cause, message) => new Error(message, { cause }), undefined)
  const refused = (cause?: Error) => new AdasumError('ERR_BINDING', 'it cannot be loaded', { cause })
  const [module, file] = [
    "Cannot find module 'adasum-linux-x64-gnu'",
    "Cannot find module './adasum.linux-x64-gnu.node'",
  ]
  t.true(isMissing(refused(chain('Cannot find native binding. Try again.', module, file))))
  t.true(isMissing(refused(chain(module))))
  t.false(isMissing(refused(chain('Cannot find native binding. Try again.', module, '/a/adasum.node: file too short'))))
  t.false(isMissing(refused(chain('the addon has another version'))))
  t.false(isMissing(refused()))
  t.false(isMissing(undefined))
  const endless = new Error(module)
  endless.cause = endless
  t.true(isMissing(endless))
})

test('what bundlers and browsers get is the bundle, which imports nothing', (t) => {
  for (const name of ['index.js', 'connect.js', 'inline.js']) {
    const text = readFileSync(join(ROOT, 'wasm', 'browser', name), 'utf8')
    t.deepEqual(text.match(/^import .*$|\bfrom ['"]node:.*$|\brequire\(/gm), null, name)
  }
})
