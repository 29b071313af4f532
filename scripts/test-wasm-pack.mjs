#!/usr/bin/env node
// The builds that are published, which wasm-pack makes, beside those that all other tests run: the same exports, the same code,
// the same bytes, and so the same bits in every result. `npm run test:wasm-pack` runs it; the last line counts.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { summaryLine } from './lib/results.mjs'
import { endToolsOnSignals } from './lib/tool.mjs'
import { BUILDS } from './lib/wasm-build.mjs'
import { buildByWasmPack } from './lib/wasm-pack.mjs'
import { sectionsOf } from './lib/wasm-sections.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [tested, published] = [join(root, 'wasm'), join(root, 'target', 'wasm-pack', 'published')]

endToolsOnSignals()
await buildByWasmPack(root, published, (text) => console.log(`test:wasm-pack: ${text}`))

/** @type {any} No library of types has it. */
const wasm = Reflect.get(globalThis, 'WebAssembly')

/** @param {string} folder @param {string} name */
const moduleOf = (folder, name) => new wasm.Module(readFileSync(join(folder, name)))

/** @param {string} folder @param {string} name */
function partsOf(folder, name) {
  const sections = sectionsOf(readFileSync(join(folder, name)))
  return sections.map(({ kind, name, bytes }) => [kind, name, Buffer.from(bytes).toString('base64')])
}

/** @type {Record<string, () => void>} */
const CHECKS = {
  'wasm-pack has made every file that the tests use, and no other': () => {
    const files = readdirSync(tested).filter((name) => name.includes('.', 1))
    assert.deepEqual(readdirSync(published).sort(), files.sort())
  },
}
for (const name of BUILDS.map(({ name }) => `${name}.wasm`)) {
  CHECKS[`${name}: the same exports and imports`] = () => {
    for (const names of [wasm.Module.exports, wasm.Module.imports]) {
      const wanted = names(moduleOf(tested, name))
      assert.ok(wanted.length > 0)
      assert.deepEqual(names(moduleOf(published, name)), wanted)
    }
  }
  CHECKS[`${name}: the same sections, byte for byte`] = () => {
    const wanted = partsOf(tested, name)
    assert.ok(wanted.length > 5)
    for (const [i, [kind, section, content]] of partsOf(published, name).entries())
      assert.ok(wanted[i]?.[2] === content, `section ${kind} ${section} differs`)
    assert.ok(readFileSync(join(published, name)).equals(readFileSync(join(tested, name))))
  }
}
for (const name of ['glue.js', 'glue.cjs', 'gpu-glue.js'])
  CHECKS[`${name}: the same text`] = () =>
    assert.equal(readFileSync(join(published, name), 'utf8'), readFileSync(join(tested, name), 'utf8'))

const counts = { passed: 0, failed: 0, skipped: 0, notes: [] }
for (const [name, check] of Object.entries(CHECKS)) {
  try {
    check()
    counts.passed += 1
    console.log(`ok - ${name}`)
  } catch (error) {
    counts.failed += 1
    console.log(`not ok - ${name}\n${error instanceof Error ? error.message : error}`)
  }
}
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
