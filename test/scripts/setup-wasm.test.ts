/** The set-up of the WebAssembly builds: which tools it takes, and what it says when there are none. */
import test, { type ExecutionContext } from 'ava'
import { lockedVersion } from '../../scripts/lib/wasm-tools.mjs'
import { Checkout } from './_checkout.ts'

const NEEDED = '0.2.130'

/** Notes how it was called. @param effect - JavaScript; `args` are the arguments, `write(path, text)` makes a file */
function script(name: string, effect: string, words = ''): string {
  return `#!${process.execPath}
const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const args = process.argv.slice(2)
const write = (path, text, mode = 0o755) => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text, { mode })
}
appendFileSync(join(process.env.CHECKOUT, 'calls'), ['${name}', ...args].join(' ') + '\\n')
const root = process.env.CHECKOUT
${effect}
console.log(${JSON.stringify(words)})
`
}

/** An empty module, and after it custom sections: the file is longer than what is left of it. */
const MODULE = '[0, 97, 115, 109, 1, 0, 0, 0, 0, 5, 4, 110, 97, 109, 101, 0, 3, 1, 107, 9]'

const bindgen = (version: string): string =>
  script(
    'wasm-bindgen',
    `const out = args[args.indexOf('--out-dir') + 1]
if (args[0] !== '--version') {
  write(join(out, 'adasum_bg.wasm'), Uint8Array.from(${MODULE}))
  write(join(out, 'adasum.js'), 'let wasm_bindgen = 7')
}`,
    `wasm-bindgen ${version}`,
  )

const RUSTC = script('rustc', `console.log(join(root, 'target-libdir')); process.exit(0)`)

class WasmCheckout extends Checkout {
  constructor(t: ExecutionContext, { hasTarget = true, makes = NEEDED } = {}) {
    super(t)
    this.write('Cargo.lock', `[[package]]\nname = "wasm-bindgen"\nversion = "${NEEDED}"\n`)
    this.write('crates/adasum-wasm/src/lib.rs', '')
    this.write('bin/rustc', RUSTC, 0o755)
    if (hasTarget) this.write('target-libdir/libstd-1.rlib', '')
    const make = `const after = (name) => args[args.indexOf(name) + 1]
if (args.includes('--target-dir')) write(join(after('--target-dir'), 'debug/wasm-bindgen'), ${JSON.stringify(bindgen(makes))})
if (args.includes('--package')) {
  const folder = join(process.env.CARGO_TARGET_DIR, 'wasm32-unknown-unknown/wasm')
  write(join(folder, after('--package').replaceAll('-', '_') + '.wasm'), process.env.CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS)
}
if (args[0] === '--version') { console.log('host: x86_64-unknown-test'); process.exit(0) }`
    this.write('bin/cargo', script('cargo', make), 0o755)
  }

  async setUpWasm() {
    const outcome = await this.setUp(['wasm'], { CHECKOUT: this.root })
    return { ...outcome, calls: outcome.calls.map((call) => call.replaceAll(this.root, '.')) }
  }
}

const TOOL =
  /^cargo build .*--locked --manifest-path \.\/scripts\/wasm-bindgen\/Cargo\.toml --target-dir \.\/\.tools\/wasm-bindgen$/

const ran = (calls: readonly string[], pattern: RegExp): number => calls.filter((call) => pattern.test(call)).length

test('two builds with one glue and one for GPUs, and nothing the second time', async (t) => {
  const checkout = new WasmCheckout(t)
  const { exitCode, stderr, calls } = await checkout.setUpWasm()
  t.is(exitCode, 0, stderr)
  t.is(ran(calls, /^cargo build --package adasum-wasm --profile wasm --target wasm32-unknown-unknown --locked$/), 2)
  t.is(ran(calls, /^cargo build --package adasum-gpu-wasm --profile wasm/), 1)
  t.is(ran(calls, /^wasm-bindgen --target no-modules/), 3)
  t.is(ran(calls, TOOL), 1)
  t.is(ran(calls, /^(cargo install|rustup|apt)/), 0)
  for (const name of ['simd.wasm', 'plain.wasm', 'glue.js', 'glue.cjs', 'gpu.wasm', 'gpu-glue.js'])
    t.true(checkout.has(`wasm/${name}`), name)
  t.deepEqual((await checkout.setUpWasm()).calls, [])
  checkout.write('crates/adasum-wasm/src/lib.rs', 'changed')
  t.is(ran((await checkout.setUpWasm()).calls, /^cargo build --package/), 3)
})

test('what is published has no custom sections that nothing reads, and the others', async (t) => {
  const checkout = new WasmCheckout(t)
  t.is((await checkout.setUpWasm()).exitCode, 0)
  t.deepEqual([...checkout.read('wasm/simd.wasm')], [0, 97, 115, 109, 1, 0, 0, 0, 0, 3, 1, 107, 9])
})

test('wasm-bindgen’s tool is made again once its own files have changed', async (t) => {
  const checkout = new WasmCheckout(t)
  await checkout.setUpWasm()
  checkout.write('scripts/wasm-bindgen/src/main.rs', 'changed')
  t.is(ran((await checkout.setUpWasm()).calls, TOOL), 1)
})

test('a tool of another version than the crate: both numbers, and what to do', async (t) => {
  const { exitCode, stderr } = await new WasmCheckout(t, { makes: '0.2.131' }).setUpWasm()
  t.is(exitCode, 1)
  t.regex(
    stderr,
    /wasm-bindgen's tool is version 0\.2\.131, the crate in Cargo\.lock is 0\.2\.130; they must be equal: name 0\.2\.130 in/,
  )
})

test('rustup adds the target where it can', async (t) => {
  const checkout = new WasmCheckout(t, { hasTarget: false })
  checkout.write('bin/rustup', script('rustup', `write(join(root, 'target-libdir/libstd-1.rlib'), '')`), 0o755)
  const { exitCode, stderr, calls } = await checkout.setUpWasm()
  t.is(exitCode, 0, stderr)
  t.is(ran(calls, /^rustup target add wasm32-unknown-unknown$/), 1)
})

test('neither rustup nor Debian: told what is needed', async (t) => {
  const checkout = new WasmCheckout(t, { hasTarget: false })
  checkout.write('bin/rustup', script('rustup', 'process.exit(1)'), 0o755)
  const { exitCode, stderr } = await checkout.setUpWasm()
  t.is(exitCode, 1)
  t.regex(
    stderr,
    /needs Rust's target wasm32-unknown-unknown \(rustup target add wasm32-unknown-unknown\) or Debian's packages/,
  )
})

test('the version in a lock file', (t) => {
  const text =
    '[[package]]\nname = "wasm-bindgen-macro"\nversion = "1.0.0"\n\n[[package]]\nname = "wasm-bindgen"\nversion = "2.0.0"\n'
  t.is(lockedVersion(text, 'wasm-bindgen'), '2.0.0')
  t.throws(() => lockedVersion(text, 'wasm'), { message: /no package wasm:/ })
})
