#!/usr/bin/env node
// The WebAssembly builds in a real browser: the contract suite and the golden hashes in a page and in a worker, with and
// without cross-origin isolation, and the example; and the shaders on its WebGPU, by Chromium's software renderer. Nothing is
// skipped; the last line counts. `npm run test:browser` runs it; with `-- --screenshots FOLDER` it leaves pictures of the example
// there, with `-- --only TEXT` it runs the tests with that in their names.

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { launchBrowser } from './lib/browser.mjs'
import { summaryLine } from './lib/results.mjs'
import { serve } from './lib/serve.mjs'

const { values } = parseArgs({ options: { screenshots: { type: 'string' }, only: { type: 'string' } } })
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const LIMIT_MS = 600_000

/** @typedef {import('../test/browser/suite.ts').Report} Report */

/** @typedef {import('../test/browser/gpu/suite.ts').GpuReport} GpuReport */

/** @param {string[]} path below test/browser */
async function bundleSuite(...path) {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'test', 'browser', ...path)],
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
  globalThis.inPage = async (suite, message) => (await import(suite)).run(message)
  globalThis.inWorker = (suite, message) => new Promise((resolve, reject) => {
    const worker = new Worker(suite, { type: 'module' })
    worker.onmessage = ({ data }) => (typeof data === 'string' ? reject(new Error(data)) : resolve(data))
    worker.onerror = (event) => reject(new Error(event.message))
    worker.postMessage(message)
  })
</script>`

/** @type {Record<string, () => Promise<number | void>>} a test that has several in it returns how many */
const TESTS = {}

const files = new Map([
  ['/test/browser/index.html', PAGE],
  ['/test/browser/suite.js', await bundleSuite('suite.ts')],
  ['/test/browser/gpu-suite.js', await bundleSuite('gpu', 'suite.ts')],
  ['/test/browser/gpu-tfjs.js', await bundleSuite('gpu', 'tfjs.ts')],
])
const browser = await launchBrowser()
const folders = ['/wasm/', '/test/golden/', '/examples/browser/']
const servers = {
  plain: await serve(root, { folders, files }),
  isolated: await serve(root, { folders, files, isIsolated: true }),
}

/**
 * What a suite reports from a page or a worker of its own.
 *
 * @param {string} url of the server
 * @param {string} place `inPage` or `inWorker`
 * @param {string} suite
 * @param {unknown} [message] what it is told
 */
async function reportOf(url, place, suite, message) {
  const page = await browser.newPage()
  /** @type {string[]} */
  const complaints = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.setDefaultTimeout(LIMIT_MS)
  await page.goto(`${url}/test/browser/index.html`)
  await page.waitForFunction('globalThis.inPage !== undefined')
  const call = `globalThis.${place}('/test/browser/${suite}.js', ${JSON.stringify(message)})`
  const report = /** @type {Report & GpuReport} */ (await page.evaluate(call))
  await page.close()
  const failed = report.outcomes.filter(({ failure }) => failure !== undefined)
  for (const { title, failure } of failed) console.log(`FAILED: ${title}\n${failure}`)
  assert.equal(failed.length, 0, `${failed.length} of ${report.outcomes.length} failed`)
  assert.deepEqual(complaints, [])
  return report
}

for (const [kind, server] of Object.entries(servers)) {
  for (const place of ['inPage', 'inWorker']) {
    TESTS[`${place}, ${kind}`] = async () => {
      const report = await reportOf(server.url, place, 'suite')
      assert.equal(report.isIsolated, kind === 'isolated')
      const [imported, ready] = [report.importedMs, report.readyMs].map((ms) => ms.toFixed(0))
      console.log(`covered: Chromium, ${place}, ${kind}: imported in ${imported} ms, first result ${ready} ms later`)
      return report.outcomes.length
    }
  }
}

/** Which suites run where: a worker has the same WebGPU, so that the longest need not run twice. */
const GPU_SUITES = { inPage: ['numerics', 'buffers', 'failures'], inWorker: ['failures'] }

for (const [place, names] of Object.entries(GPU_SUITES)) {
  TESTS[`GPU, ${place}`] = async () => {
    const report = await reportOf(servers.plain.url, place, 'gpu-suite', names)
    console.log(`covered: WebGPU in Chromium, ${place}, adapter ${report.adapter}, arithmetic ${report.arithmetic}`)
    return report.outcomes.length
  }
}

TESTS['GPU, tfjs'] = async () => {
  const { outcomes, adapter } = await reportOf(servers.plain.url, 'inPage', 'gpu-tfjs')
  console.log(`covered: WebGPU in Chromium, tfjs, adapter ${adapter}`)
  return outcomes.length
}

/** Not the sources, but the files of the package: the first fetches the second once a device is asked for. */
for (const [index, gpu] of [
  ['index.js', 'gpu.js'],
  ['inline.js', 'gpu-inline.js'],
]) {
  TESTS[`GPU, the package's own ${index} and ${gpu}`] = async () => {
    const page = await browser.newPage()
    /** @type {string[]} */
    const fetched = []
    page.on('request', (request) => fetched.push(new URL(request.url()).pathname.split('/').at(-1) ?? ''))
    await page.goto(`${servers.plain.url}/test/browser/index.html`)
    const local = (/** @type {string} */ options) =>
      page.evaluate(`import('/wasm/browser/${index}').then(async ({ adasum }) =>
        (await adasum([Float32Array.of(1, 2), Float32Array.of(0, 2)], { segments: [1, 1], ${options} })).result.join())`)
    assert.equal(await local(''), '1,2')
    assert.ok(!fetched.some((name) => name.includes('gpu')), `${fetched}`)
    assert.equal(await local("backend: 'gpu'"), '1,2')
    const own = `import('/wasm/browser/${gpu}').then(async ({ GpuReducer }) => {
      const reducer = await GpuReducer.create({ slots: 2, segments: [1, 1] })
      await reducer.write(0, Float32Array.of(1, 2))
      await reducer.write(1, Float32Array.of(0, 2))
      const { orthogonality } = await reducer.reduce('adasum')
      return [...orthogonality, ...(await reducer.read(new Float32Array(2)))].join()
    })`
    assert.equal(await page.evaluate(own), '1,0.5,1,2')
    assert.equal(fetched.filter((name) => name === gpu).length, 1)
    assert.equal(fetched.filter((name) => name === 'gpu.wasm').length, gpu === 'gpu.js' ? 1 : 0)
    await page.close()
  }
}

TESTS['GPU, a page without WebGPU or without an adapter says so, and auto takes the CPU'] = async () => {
  const page = await browser.newPage()
  /** @type {string[]} */
  const warnings = []
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()))
  await page.goto(`${servers.plain.url}/test/browser/index.html`)
  const call = (/** @type {string} */ backend) => `import('/wasm/browser/index.js')
    .then(({ adasum }) => adasum([Float32Array.of(2)], { backend: '${backend}' }))
    .then(({ result }) => result.join(), ({ code, message }) => code + ' ' + message)`
  await page.evaluate(`navigator.gpu.requestAdapter = async () => null`)
  assert.match(String(await page.evaluate(call('gpu'))), /^ERR_UNSUPPORTED .*gives no adapter: 0 found/)
  await page.evaluate(`Object.defineProperty(navigator, 'gpu', { value: undefined })`)
  assert.match(String(await page.evaluate(call('gpu'))), /^ERR_UNSUPPORTED .*navigator\.gpu is missing/)
  assert.equal(await page.evaluate(call('auto')), '2')
  assert.equal(await page.evaluate(call('auto')), '2')
  assert.match(
    warnings.join(),
    /^AdasumWarning \[ADASUM_GPU\]: the CPU reduces instead of a GPU: there is no WebGPU here[^,]*,?[^,]*$/,
  )
  await page.close()
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
  const open = `import('/wasm/browser/gpu.js').then(({ GpuDevice }) => GpuDevice.open())
    .then(({ arithmetic }) => arithmetic, ({ code, message }) => code + ' ' + message)`
  assert.match(String(await page.evaluate(open)), /^ERR_BINDING .*gpu\.wasm \(?.*status 404.*adasum\/gpu-inline/)
  answer = { status: 200, body: '<!doctype html>' }
  assert.match(String(await page.evaluate(call)), /^ERR_BINDING .*simd, 15 bytes/)
  answer.status = 0
  assert.equal(await page.evaluate(call), '2')
  assert.match(String(await page.evaluate(open)), /^(guarded )?(fused|split)$/)
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

TESTS['examples/browser draws a loss that diverges'] = async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } })
  await page.goto(`${servers.plain.url}/examples/browser/index.html?steps=100`)
  await page.waitForSelector('body[data-state="training"]')
  await page.selectOption('#operator', 'sum')
  await page.selectOption('#rate', '0.3')
  await page.waitForSelector('body[data-diverged-at]:not([data-diverged-at=""])', { timeout: 120_000 })
  await page.waitForSelector('body[data-state="done"]', { timeout: 120_000 })
  assert.match((await page.textContent('#status')) ?? '', /diverged at step \d+, where the loss passed/)
  // The line's own colour, in the rows of the canvas: the loss is no flat line.
  const rows = await page.evaluate(`(() => {
    const canvas = document.getElementById('loss')
    const { width, height } = canvas
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
    const isLine = (at) => data[at + 3] > 250 && data[at] < 20 && data[at + 1] > 110 && data[at + 1] < 150
    return Array.from({ length: height }, (_, y) => y).filter((y) =>
      Array.from({ length: width }, (_, x) => 4 * (y * width + x)).some(isLine)).length / height
  })()`)
  if (values.screenshots !== undefined)
    await page.screenshot({ path: join(values.screenshots, 'diverging.png'), fullPage: true })
  assert.ok(Number(rows) > 0.2, `the line takes ${rows} of the height`)
  await page.close()
}

const counts = { passed: 0, failed: 0, skipped: 0, notes: [] }
for (const [name, check] of Object.entries(TESTS)) {
  if (values.only !== undefined && !name.includes(values.only)) continue
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
