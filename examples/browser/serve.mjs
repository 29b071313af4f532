#!/usr/bin/env node
/** Shows the example: builds what is missing, and serves it on loopback until it is ended. */
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))))
execFileSync(process.execPath, [path.join(root, 'scripts', 'setup.mjs'), 'browser'], { stdio: 'inherit' })
const { serve } = await import('../../scripts/lib/serve.mjs')
const { url } = await serve(root, {
  folders: ['/wasm/', '/examples/browser/'],
  port: Number(process.env['PORT'] ?? 8080),
})
console.log(`${url}/examples/browser/index.html`)
