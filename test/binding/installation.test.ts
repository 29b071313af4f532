/** What the package says where its compiled part is not: in an installed copy, in a bundle. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type BuildOptions, build } from 'esbuild'
import { execa } from 'execa'
import { platformName } from '../../ts/src/binding/installation.ts'
import type { Report } from '../../ts/src/cli/doctor/report.ts'
import { ROOT, folderWith, installPackages } from '../_user-folder.ts'

test.before(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'all'], { stdio: 'inherit' })
})

const { version, ...manifest } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }

/** The package as npm installs it where it leaves out optional dependencies. */
function installed(t: ExecutionContext, platforms: readonly string[], parts = ['bin', 'dist', 'wasm']): string {
  const folder = folderWith(t, {})
  const home = join(folder, 'node_modules', 'adasum')
  mkdirSync(join(home, 'native'), { recursive: true })
  for (const name of parts) cpSync(join(ROOT, name), join(home, name), { recursive: true })
  cpSync(join(ROOT, 'node_modules', 'commander'), join(folder, 'node_modules', 'commander'), { recursive: true })
  cpSync(join(ROOT, 'native', 'index.cjs'), join(home, 'native', 'index.cjs'))
  const optionalDependencies = Object.fromEntries(platforms.map((platform) => [`adasum-${platform}`, version]))
  writeFileSync(join(home, 'package.json'), JSON.stringify({ ...manifest, version, optionalDependencies }))
  return folder
}

async function run(cwd: string, args: readonly string[], env: Record<string, string> = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ADASUM_|NODE_OPTIONS|FORCE_COLOR)/.test(name))
  const options = { cwd, reject: false, extendEnv: false, env: { ...Object.fromEntries(inherited), ...env } }
  const { exitCode, stdout, stderr } = await execa(process.execPath, args, options)
  return { exitCode, stdout: String(stdout), stderr: String(stderr) }
}

const PROGRAM = `
import { adasumSync } from 'adasum'
console.log(adasumSync([Float32Array.of(1, 0), Float32Array.of(0, 2)]).result.join())`

const here = platformName()
const INSTALL = `npm install adasum-${here}@${version}`

test('this platform has the name that the loader of the addon asks for', (t) => {
  const loader = readFileSync(join(ROOT, 'native', 'index.cjs'), 'utf8')
  t.true(loader.includes(`require('adasum-${here}')`), here)
})

test('without the package of the platform: the warning, the error and doctor name it', async (t) => {
  const folder = installed(t, [here, 'win32-x64-msvc'])
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
  const fallen = await run(folder, ['program.mjs'])
  t.deepEqual([fallen.exitCode, fallen.stdout], [0, '1,2'])
  const forced = await run(folder, ['program.mjs'], { ADASUM_BINDING: 'native' })
  t.regex(forced.stderr, /AdasumError \[ERR_BINDING\]/)
  const doctor = await run(folder, ['--no-warnings', 'node_modules/adasum/bin/adasum.js', 'doctor', '--json'])
  const { problems } = JSON.parse(doctor.stdout) as Report
  const { message, action } = problems.find(({ section }) => section === 'binding')!
  for (const text of [fallen.stderr, forced.stderr, message, action]) {
    t.true(text.includes(`${INSTALL}.`), text)
    t.regex(text, /npm ci --omit=optional.* lock file was made on another platform/)
    t.notRegex(text, /npm run /)
  }
})

test('a platform that has no package is told so', async (t) => {
  const folder = installed(t, ['win32-x64-msvc'])
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
  const { stdout, stderr } = await run(folder, ['program.mjs'])
  t.is(stdout, '1,2')
  t.regex(stderr, /There is none for this platform: WebAssembly, which is always there, takes its place/)
  t.notRegex(stderr, /npm (run|install) /)
})

test('an installed copy without its WebAssembly module, or with a broken addon, is to be installed again', async (t) => {
  const bare = installed(t, [here], ['bin', 'dist'])
  writeFileSync(join(bare, 'program.mjs'), PROGRAM)
  const { stderr } = await run(bare, ['program.mjs'], { ADASUM_BINDING: 'wasm' })
  t.regex(stderr, /The WebAssembly module cannot be loaded .*\. Install the package again: npm install adasum@/)
  const broken = installed(t, [here])
  writeFileSync(join(broken, 'program.mjs'), PROGRAM)
  writeFileSync(join(broken, 'node_modules', 'adasum', 'native', `adasum.${here}.node`), 'no addon')
  const failed = await run(broken, ['program.mjs'])
  t.is(failed.exitCode, 1)
  t.true(failed.stderr.includes(`Install it again: ${INSTALL}; or set ADASUM_BINDING=wasm`), failed.stderr)
})

const BUNDLES: [name: string, options: BuildOptions][] = [
  ['an ES module', { format: 'esm', outExtension: { '.js': '.mjs' } }],
  ['a minified ES module', { format: 'esm', minify: true, outExtension: { '.js': '.mjs' } }],
  ['CommonJS', { format: 'cjs', outExtension: { '.js': '.cjs' } }],
  ['CommonJS with addons', { format: 'cjs', conditions: ['node-addons'], outExtension: { '.js': '.cjs' } }],
  ['an ES module with addons', { format: 'esm', conditions: ['node-addons'], outExtension: { '.js': '.mjs' } }],
]
const CODES = `
import { adasum, adasumSync, connect } from 'adasum'
const failureOf = async (call) => { try { await call(); return 'none' } catch (error) { return error.code + ' ' + error.message } }
async function main() {
  for (const call of [() => adasumSync([Float32Array.of(1)]), () => adasum([Float32Array.of(1)]), () => connect()])
    console.log(await failureOf(call))
}
main()`

for (const [name, options] of BUNDLES)
  test(`a bundle for Node.js is told to leave the package out: ${name}`, async (t) => {
    const folder = folderWith(t, { 'main.mjs': CODES, 'package.json': '{ "type": "module" }' })
    installPackages(folder)
    const common: BuildOptions = {
      absWorkingDir: folder,
      entryPoints: ['main.mjs'],
      bundle: true,
      platform: 'node',
      logLevel: 'silent',
    }
    const [extension] = Object.values(options.outExtension!)
    await build({ ...common, ...options, outdir: 'out' })
    const { exitCode, stdout, stderr } = await run(folder, [`out/main${extension}`])
    t.deepEqual([exitCode, stderr], [0, ''])
    const lines = stdout.split('\n')
    t.is(lines.length, 3)
    for (const line of lines)
      t.regex(line, /^ERR_BINDING adasum is part of a bundle.*Mark adasum as external.*docs\/browser\.md$/)
    // As the message says.
    await build({ ...common, ...options, external: ['adasum'], outdir: 'apart' })
    const apart = await run(folder, [`apart/main${extension}`])
    t.deepEqual(apart.stdout.split('\n'), ['none', 'none', 'none'])
  })
