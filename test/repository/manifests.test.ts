/** What stands in more than one file and must agree, and what the manifests promise. */
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

interface Manifest {
  version: string
  license: string
  repository: { type: string; url: string }
  engines: { node: string }
  scripts: Record<string, string>
  bin: { adasum: string }
  exports: Record<string, string | Record<string, string>>
  peerDependencies: Record<string, string>
  optionalDependencies?: unknown
}

const manifest = JSON.parse(read('package.json')) as Manifest

/** The value of `key` in a section of a TOML file, for the plain strings that stand in ours. */
function tomlString(toml: string, section: string, key: string): string | undefined {
  const body = toml.split(/^\[/m).find((part) => part.startsWith(`${section}]`))
  return new RegExp(`^${key} *= *"([^"]*)"`, 'm').exec(body ?? '')?.[1]
}

function crates(): string[] {
  return readdirSync(join(ROOT, 'crates'))
}

test('one version, in package.json, both lock files, the Cargo workspace and the changelog', (t) => {
  t.is(tomlString(read('Cargo.toml'), 'workspace.package', 'version'), manifest.version)
  const lock = JSON.parse(read('package-lock.json')) as {
    version: string
    packages: Record<string, { version: string }>
  }
  t.deepEqual([lock.version, lock.packages['']?.version], [manifest.version, manifest.version])
  const gpu = JSON.parse(read('gpu/package.json')) as Manifest
  t.deepEqual([gpu.version, manifest.peerDependencies['adasum-gpu']], [manifest.version, manifest.version])
  for (const crate of crates()) {
    const entry = new RegExp(`name = "${crate}"\nversion = "([^"]+)"`).exec(read('Cargo.lock'))
    t.is(entry?.[1], manifest.version, crate)
    t.regex(read(`crates/${crate}/Cargo.toml`), /^version\.workspace = true$/m)
  }
  t.regex(read('CHANGELOG.md'), new RegExp(`^## ${manifest.version.replaceAll('.', '\\.')}\\b`, 'm'))
})

test('wasm-bindgen’s tool is made of the version of the crate', (t) => {
  const wanted = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(read('Cargo.lock'))?.[1]
  const [tool, lock] = ['Cargo.toml', 'Cargo.lock'].map((name) => read(`scripts/wasm-bindgen/${name}`))
  for (const name of ['wasm-bindgen-cli-support', 'wasm-bindgen-shared']) {
    t.is(new RegExp(`^${name} = "=([^"]+)"$`, 'm').exec(tool!)?.[1], wanted, name)
    t.is(new RegExp(`name = "${name}"\nversion = "([^"]+)"`).exec(lock!)?.[1], wanted, name)
  }
  t.is(tomlString(tool!, 'package', 'version'), wanted)
})

test('one licence', (t) => {
  t.is(tomlString(read('Cargo.toml'), 'workspace.package', 'license'), manifest.license)
  t.is(manifest.license, 'MIT OR Apache-2.0')
})

test('one repository, in the form that npm resolves the links of README with', (t) => {
  const page = tomlString(read('Cargo.toml'), 'workspace.package', 'repository')
  t.deepEqual(manifest.repository, { type: 'git', url: `git+${page}.git` })
})

test('every script that needs a build begins with the set-up, without pre- and post-scripts', (t) => {
  t.deepEqual(
    Object.entries(manifest.scripts).filter(([, command]) => !command.startsWith('node scripts/setup.mjs')),
    [],
  )
  const names = Object.keys(manifest.scripts)
  // npm skips them under ignore-scripts.
  t.deepEqual(
    names.filter((name) => names.some((other) => name === `pre${other}` || name === `post${other}`)),
    [],
  )
})

test('platform packages do not stand in the committed manifest', (t) => {
  t.is(manifest.optionalDependencies, undefined)
})

test('the command can be executed', (t) => {
  t.is(statSync(join(ROOT, manifest.bin.adasum)).mode & 0o777, 0o755)
  t.is(statSync(join(ROOT, '.ci', 'run')).mode & 0o111, 0o111)
})

test('every export has its source, and the condition for the source comes first', (t) => {
  for (const [name, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') continue
    // The bundle for browsers, which is made of several sources, is the same whoever imports it.
    if (target['default']!.startsWith('./wasm/')) continue
    const conditions = Object.keys(target).filter((condition) => condition !== 'browser')
    t.deepEqual(conditions, ['adasum-source', 'types', 'default'], name)
    const source = target['adasum-source']!
    t.true(statSync(join(ROOT, source)).isFile(), source)
    t.is(target['default'], source.replace('./ts/src/', './dist/').replace(/\.ts$/, '.js'))
    t.is(target['types'], target['default']!.replace(/\.js$/, '.d.ts'))
  }
})

test('the workflow of the hosted checks runs the same command, with the oldest Node.js that is supported', (t) => {
  const workflow = read('.github/workflows/ci.yml')
  t.regex(workflow, /bash \.ci\/run/)
  const oldest = /^>=(\d+\.\d+)$/.exec(manifest.engines.node)?.[1]
  t.true(workflow.includes(`'${oldest}'`), `${oldest} in ci.yml`)
})

test('test files are few enough to be found', (t) => {
  const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  // Those of others lie in test/package once that has been run.
  const ours = files.filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules'))
  t.true(ours.length <= 220)
})

const FIELDS = ['dependencies', 'peerDependencies', 'devDependencies', 'overrides', 'optionalDependencies']
const NPM_MANIFESTS = [
  'package.json',
  'gpu/package.json',
  'scripts/tfjs-node/package.json',
  'test/package/package.json',
]
const CARGO_MANIFESTS = [...crates().map((crate) => `crates/${crate}/Cargo.toml`), 'scripts/wasm-bindgen/Cargo.toml']

function npmNames(path: string): string[] {
  const manifest = JSON.parse(read(path)) as Record<string, object | undefined>
  return FIELDS.flatMap((field) => Object.keys(manifest[field] ?? {}))
}

/** Names below the headings of dependencies, but for crates of the workspace. */
function cargoNames(toml: string): string[] {
  const sections = toml.split(/^\[/m).filter((section) => /^[^\]\n]*dependencies\]/.test(section))
  return sections.flatMap((section) =>
    [...section.matchAll(/^([\w-]+)(?:\.workspace)? *= *(.*)$/gm)].flatMap(([, name, value]) =>
      /^adasum-/.test(name!) || /\bworkspace *= *true/.test(value!) ? [] : name!,
    ),
  )
}

/** First and second column of each row of the tables. */
function rowsOf(markdown: string): [name: string, why: string][] {
  const rows = [...markdown.matchAll(/^\| *`([^`]+)` *\| *([^|]+?) *\|/gm)]
  return rows.map(([, name, why]) => [name!, why!])
}

const dependencies = rowsOf(read('docs/dependencies.md'))

test('the page on dependencies names what the manifests name, and nothing else', (t) => {
  const named = [...NPM_MANIFESTS.flatMap(npmNames), ...CARGO_MANIFESTS.map(read).flatMap(cargoNames)]
  t.true(named.length > 40)
  t.deepEqual([...new Set(dependencies.map(([name]) => name))].sort(), [...new Set(named)].sort())
})

test('each dependency has one row there, and a reason', (t) => {
  t.is(new Set(dependencies.map(([name]) => name)).size, dependencies.length)
  for (const [name, why] of dependencies) t.true(why.length > 4, name)
})

test('dependencies of a manifest are found, whatever they are for', (t) => {
  const toml = `[package]\nname = "x"\n\n[dependencies]\nadasum-core.workspace = true\nlibc = "1"\n\n[target.'cfg(unix)'.dependencies]\nnix = { version = "2" }\n\n[dev-dependencies]\n# a = "1"\nproptest = "1"\n\n[features]\ndevice = ["dep:nix"]\n`
  t.deepEqual(cargoNames(toml), ['libc', 'nix', 'proptest'])
})
