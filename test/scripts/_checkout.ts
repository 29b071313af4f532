/** Made-up checkouts, with tools that only note that they ran. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { execa } from 'execa'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Notes its name in `calls`, takes as long as DELAY_MS says, fails if FAIL names it, else does `effect`. */
export function tool(name: string, effect = ''): string {
  return `#!${process.execPath}
const fs = require('node:fs')
const name = ${JSON.stringify(name)} + (process.argv[2] === '--version' ? ' --version' : '')
fs.appendFileSync('calls', name + '\\n')
console.log(name + ' says hello')
const { DELAY_MS = '0', FAIL, WORDS = 'this is why' } = process.env
setTimeout(() => {
  if (FAIL === name) { console.error(WORDS); process.exit(7) }
  if (name.endsWith('--version')) return console.log('host: x86_64-unknown-test')
  ${effect}
}, Number(DELAY_MS))
`
}

const NAPI = tool('napi', `fs.writeFileSync('native/adasum.test.node', '')`)
const TSC = tool(
  'tsc',
  `for (const file of fs.readdirSync('ts/src')) fs.writeFileSync('dist/' + file.replace('.ts', '.d.ts'), '')`,
)
/** A module that is called, not a program: it notes what it was given. */
const ESBUILD = `import { mkdirSync, writeFileSync } from 'node:fs'
export async function build({ absWorkingDir, entryPoints }) {
  mkdirSync(absWorkingDir + '/dist/cli', { recursive: true })
  for (const { in: source, out } of entryPoints) writeFileSync(absWorkingDir + '/dist/' + out + '.js', source)
}
`
const NPM = tool(
  'npm',
  `fs.mkdirSync('node_modules/@napi-rs/cli/dist', { recursive: true })
  fs.mkdirSync('node_modules/typescript/bin', { recursive: true })
  fs.mkdirSync('node_modules/esbuild', { recursive: true })
  fs.writeFileSync('node_modules/esbuild/package.json', '{ "type": "module", "main": "build.js" }')
  fs.writeFileSync('node_modules/esbuild/build.js', ${JSON.stringify(ESBUILD)})
  fs.writeFileSync('node_modules/@napi-rs/cli/dist/cli.js', ${JSON.stringify(NAPI)})
  fs.writeFileSync('node_modules/typescript/bin/tsc', ${JSON.stringify(TSC)})
  const { packages: { '': _root, 'node_modules/elsewhere': _optional, ...installed } } = JSON.parse(fs.readFileSync('package-lock.json'))
  fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages: installed }))`,
)

export const lock = (version: string): string =>
  JSON.stringify({
    packages: {
      '': { version: '0.1.0' },
      'node_modules/one': { version, integrity: `sha512-${version}` },
      'node_modules/elsewhere': { version, integrity: `sha512-${version}`, optional: true },
    },
  })

const MANIFEST = JSON.stringify({
  engines: { node: '>=20.19' },
  imports: {
    '#part': { 'adasum-source': './ts/src/part.ts', default: './dist/part.js' },
    '#native': './native/index.cjs',
  },
  exports: { '.': { types: './dist/a.d.ts', default: './dist/a.js' }, './types': './dist/b.d.ts' },
})

export class Checkout {
  readonly root: string

  constructor(t: ExecutionContext) {
    this.root = mkdtempSync(join(tmpdir(), 'adasum-setup-'))
    t.teardown(() => rmSync(this.root, { recursive: true, force: true }))
    cpSync(join(ROOT, 'scripts'), join(this.root, 'scripts'), { recursive: true })
    this.write('package.json', MANIFEST)
    this.write('package-lock.json', lock('1.0.0'))
    for (const path of ['Cargo.toml', 'Cargo.lock', 'tsconfig.json', 'tsconfig.build.json']) this.write(path, path)
    for (const path of ['crates/a/src/lib.rs', 'crates/a/tests/t.rs', 'ts/src/a.ts', 'ts/src/b.ts'])
      this.write(path, path)
    this.write('bin/npm', NPM, 0o755)
    this.write('bin/cargo', tool('cargo'), 0o755)
  }

  write(path: string, content: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true })
    writeFileSync(join(this.root, path), content, { mode })
  }

  read(path: string): Buffer {
    return readFileSync(join(this.root, path))
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true })
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path))
  }

  start(args: string[] = [], env: Record<string, string> = {}) {
    const options = {
      cwd: tmpdir(),
      reject: false,
      extendEnv: false,
      env: { PATH: join(this.root, 'bin'), ...env },
    } as const
    return execa(process.execPath, [join(this.root, 'scripts', 'setup.mjs'), ...args], options)
  }

  /** Sets up, and says which tools ran meanwhile, in alphabetical order: some run side by side. */
  async setUp(args: string[] = [], env: Record<string, string> = {}) {
    rmSync(join(this.root, 'calls'), { force: true })
    const { exitCode, stdout, stderr } = await this.start(args, env)
    return { exitCode, stdout, stderr, calls: this.calls() }
  }

  calls(): string[] {
    return this.has('calls') ? readFileSync(join(this.root, 'calls'), 'utf8').trimEnd().split('\n').sort() : []
  }
}
