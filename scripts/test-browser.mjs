#!/usr/bin/env node
// The WebAssembly builds in a real browser: the contract suite and the golden hashes in a page and in a worker, with and
// without cross-origin isolation, and the example. Nothing is skipped; the last line counts. `npm run test:browser` runs it;
// with `-- --screenshots FOLDER` it leaves pictures of the example there.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { launchBrowser } from './lib/browser.mjs'
import { summaryLine } from './lib/results.mjs'
import { serve } from './lib/serve.mjs'

const { values } = parseArgs({ options: { screenshots: { type: 'string' } } })
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const LIMIT_MS = 600_000

/** @typedef {import('../test/browser/suite.ts').Report} Report */

async function bundleSuite() {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'test', 'browser', 'suite.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['adasum-source'],
    alias: { ava: join(root, 'test', 'browser', '_ava.ts') },
    logLevel: 'error',
  })
  return outputFiles[0]?.text ?? ''
}

const PAGE = `<!doctype html><title>adasum</title><link rel="icon" href="data:,">
<script type="module">
  import { run } from '/test/browser/suite.js'
  globalThis.inPage = run
  globalThis.inWorker = () => new Promise((resolve, reject) => {
    const worker = new Worker('/test/browser/suite.js', { type: 'module' })
    worker.onmessage = ({ data }) => (typeof data === 'string' ? reject(new Error(data)) : resolve(data))
    worker.onerror = (event) => reject(new Error(event.message))
    worker.postMessage('run')
  })
</script>`

/** @type {Record<string, () => Promise<number | void>>} a test that has several in it returns how many */
const TESTS = {}

const files = new Map([
  ['/test/browser/index.html', PAGE],
  ['/test/browser/suite.js', await bundleSuite()],
])
const browser = await launchBrowser()
const folders = ['/wasm/', '/test/golden/', '/examples/browser/']
const servers = {
  plain: await serve(root, { folders, files }),
  isolated: await serve(root, { folders, files, isIsolated: true }),
}

for (const [kind, server] of Object.entries(servers)) {
  for (const place of ['inPage', 'inWorker']) {
    TESTS[`${place}, ${kind}`] = async () => {
      const page = await browser.newPage()
      page.setDefaultTimeout(LIMIT_MS)
      await page.goto(`${server.url}/test/browser/index.html`)
      await page.waitForFunction('globalThis.inPage !== undefined')
      const report = /** @type {Report} */ (await page.evaluate(`globalThis.${place}()`))
      await page.close()
      assert.equal(report.isIsolated, kind === 'isolated')
      const failed = report.outcomes.filter(({ failure }) => failure !== undefined)
      for (const { title, failure } of failed) console.log(`FAILED: ${title}\n${failure}`)
      assert.equal(failed.length, 0, `${failed.length} of ${report.outcomes.length} failed`)
      const [imported, ready] = [report.importedMs, report.readyMs].map((ms) => ms.toFixed(0))
      console.log(`covered: Chromium, ${place}, ${kind}: imported in ${imported} ms, first result ${ready} ms later`)
      return report.outcomes.length
    }
  }
}

/** A server that has lost the file, and one that sends something else. */
TESTS['a module that cannot be loaded is ERR_BINDING, and the next call tries again'] = async () => {
  const page = await browser.newPage()
  let answer = { status: 404, body: 'gone' }
  await page.route('**/*.wasm', (route) => (answer.status === 0 ? route.continue() : route.fulfill(answer)))
  await page.goto(`${servers.plain.url}/test/browser/index.html`)
  const call = `import('/wasm/browser/index.js').then(({ adasum }) => adasum([Float32Array.of(2)]))
    .then(({ result }) => result.join(), ({ code, message }) => code + ' ' + message)`
  assert.match(String(await page.evaluate(call)), /^ERR_BINDING .*wasm \(?.*status 404.*adasum\/wasm-inline/)
  answer = { status: 200, body: '<!doctype html>' }
  assert.match(String(await page.evaluate(call)), /^ERR_BINDING .*simd, 15 bytes/)
  answer.status = 0
  assert.equal(await page.evaluate(call), '2')
  await page.close()
}

for (const [shape, width, height] of /** @type {const} */ ([
  ['wide', 1280, 860],
  ['narrow', 390, 1300],
])) {
  TESTS[`examples/browser trains, ${shape}`] = async () => {
    const page = await browser.newPage({ viewport: { width, height }, deviceScaleFactor: 2 })
    /** @type {string[]} */
    const complaints = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(`${servers.plain.url}/examples/browser/index.html?steps=300`)
    await page.waitForSelector('body[data-state="done"]', { timeout: 120_000 })
    const [accuracy, overflow] = /** @type {[number, number]} */ (
      await page.evaluate(
        `[Number(document.body.dataset.accuracy), document.documentElement.scrollWidth - document.documentElement.clientWidth]`,
      )
    )
    if (values.screenshots !== undefined) {
      mkdirSync(values.screenshots, { recursive: true })
      await page.screenshot({ path: join(values.screenshots, `${shape}.png`), fullPage: true })
    }
    assert.deepEqual(complaints, [])
    assert.ok(accuracy > 0.9, `accuracy ${accuracy}`)
    assert.ok(overflow <= 0, `${overflow} pixels too wide`)
    await page.close()
  }
}

const counts = { passed: 0, failed: 0, skipped: 0, notes: [] }
for (const [name, check] of Object.entries(TESTS)) {
  try {
    counts.passed += (await check()) ?? 1
    console.log(`ok: ${name}`)
  } catch (error) {
    counts.failed += 1
    console.log(`FAILED: ${name}\n${error instanceof Error ? error.stack : error}`)
  }
}
await browser.close()
for (const server of Object.values(servers)) server.close()
console.log(summaryLine(counts))
if (counts.failed > 0) process.exitCode = 1
