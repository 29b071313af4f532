// Lets Node.js run TypeScript: `--import` of this file does. What has been compiled once is kept in `.tools`, so that a test file
// starts in half the time that tsx needs.

import { register } from 'node:module'

process.setSourceMapsEnabled(true)
register('./hooks.mjs', import.meta.url)
