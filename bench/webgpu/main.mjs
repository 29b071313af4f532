// The GPU of a page beside its CPU, in Chromium: where one overtakes the other.
//
//     npm run --silent bench:webgpu -- [--json] [--rounds 7] [--lengths 10000,1000000]
//
// `cpu` is adasum() by WebAssembly; `uploaded` brings the vectors to the device, combines them and brings the result back;
// `resident` combines GPUBuffers in place; `gathered` copies them together on the device first. Milliseconds, medians of rounds
// taken in turns. `error` is |GPU - CPU| / |CPU|. In Chromium's software renderer, which this machine's browser has unless it finds
// a GPU, the device is the CPU, and does more work than the CPU's own kernels.

import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { launchBrowser } from '../../scripts/lib/browser.mjs'
import { serve } from '../../scripts/lib/serve.mjs'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
    lengths: { type: 'string', default: '10000,100000,1000000,4000000' },
  },
})

/** @typedef {import('./page.mjs').Figures} Figures */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const files = new Map([['/index.html', '<!doctype html><title>bench</title>']])
const server = await serve(root, { folders: ['/wasm/', '/bench/webgpu/'], files })
const browser = await launchBrowser()
const page = await browser.newPage()
page.setDefaultTimeout(600_000)
await page.goto(`${server.url}/index.html`)

if (!values.json) console.log('   k      length       cpu  uploaded  resident  gathered  ms       error')
for (const length of values.lengths.split(',').map(Number)) {
  for (const k of [2, 4, 6]) {
    const call = `import('/bench/webgpu/page.mjs').then(({ measure }) => measure(${k}, ${length}, ${values.rounds}))`
    const figures = /** @type {Figures} */ (await page.evaluate(call))
    if (!(figures.error <= 2 ** -23)) process.exitCode = 1
    if (values.json) console.log(JSON.stringify(figures))
    else {
      const columns = [figures.cpuMs, figures.uploadedMs, figures.residentMs, figures.gatheredMs]
      const text = columns.map((ms) => ms.toFixed(2).padStart(10)).join('')
      console.log(
        `${String(k).padStart(4)}${String(length).padStart(12)}${text}      ${figures.error.toExponential(1)}`,
      )
    }
  }
}
await browser.close()
server.close()
