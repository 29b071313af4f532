#!/usr/bin/env node
// Committed, not built: npm links a bin at installation and would remember a missing file or a wrong mode.
import { existsSync } from 'node:fs'

const main = new URL('../dist/cli/main.js', import.meta.url)
if (existsSync(main)) {
  const { runCli } = await import(main.href)
  process.exitCode = await runCli(process.argv.slice(2))
} else {
  console.error('adasum: this checkout is not built: run `npm run setup` in its folder first')
  process.exitCode = 1
}
