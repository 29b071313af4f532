#!/usr/bin/env node
// The WebAssembly builds as they are published: by wasm-pack, into wasm/, which then counts as built.
// `npm run build:wasm-pack` runs it.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildWebAssembly } from './lib/setup-steps.mjs'
import { endToolsOnSignals } from './lib/tool.mjs'
import { buildByWasmPack } from './lib/wasm-pack.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

endToolsOnSignals()
await buildWebAssembly(
  root,
  (text) => console.log(`wasm-pack: ${text}`),
  (_, say) => buildByWasmPack(root, join(root, 'wasm'), say),
)
