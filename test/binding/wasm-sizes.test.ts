/**
 * What a page downloads, beside a committed snapshot: test/binding/wasm-sizes.json. Compilers of other versions make files of
 * other sizes, hence the tolerance; the limit holds whatever the compiler. `ADASUM_SIZES=write` writes the snapshot anew, and
 * fails to say so.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import test from 'ava'
import { ROOT } from '../_user-folder.ts'

const FILES = [
  'simd.wasm',
  'plain.wasm',
  'gpu.wasm',
  'browser/index.js',
  'browser/connect.js',
  'browser/inline.js',
  'browser/gpu.js',
  'browser/gpu-inline.js',
] as const
/** What is downloaded together. */
const TOGETHER = [
  ['simd.wasm', 'browser/index.js'],
  ['plain.wasm', 'browser/index.js'],
  ['gpu.wasm', 'browser/gpu.js'],
] as const
const TOLERANCE = 0.1
/** The most that a build and its JavaScript may have, compressed. */
const LIMIT_BYTES = 165_000

type Sizes = Record<(typeof FILES)[number], { bytes: number; gzipBytes: number }>

const SNAPSHOT = join(ROOT, 'test', 'binding', 'wasm-sizes.json')

function measure(): Sizes {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'browser'], { stdio: 'inherit' })
  const sizes = FILES.map((name) => {
    const content = readFileSync(join(ROOT, 'wasm', name))
    return [name, { bytes: content.length, gzipBytes: gzipSync(content, { level: 9 }).length }]
  })
  return Object.fromEntries(sizes) as Sizes
}

test('a build and its JavaScript are small enough, and as large as the snapshot says', (t) => {
  const found = measure()
  for (const [build, script] of TOGETHER)
    t.true(found[build].gzipBytes + found[script].gzipBytes <= LIMIT_BYTES, JSON.stringify(found))
  if (process.env.ADASUM_SIZES === 'write') {
    writeFileSync(SNAPSHOT, `${JSON.stringify(found, null, 2)}\n`)
    t.fail(`${SNAPSHOT} was written anew: look at what changed, and run without ADASUM_SIZES`)
  }
  const wanted = JSON.parse(readFileSync(SNAPSHOT, 'utf8')) as Sizes
  t.deepEqual(Object.keys(wanted), [...FILES])
  for (const name of FILES) {
    const [now, before] = [found[name].gzipBytes, wanted[name].gzipBytes]
    const message = `${name} has ${now} bytes compressed, the snapshot ${before}. Meant? ADASUM_SIZES=write`
    t.true(Math.abs(now / before - 1) <= TOLERANCE, message)
  }
})
