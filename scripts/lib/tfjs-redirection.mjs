// Imported before a program, as `--import=<address of this file>?<address of a folder>`: its imports of TensorFlow.js find the
// packages in that folder. In NODE_OPTIONS it reaches the processes that a program starts, too.

import { register } from 'node:module'

const hooks = `
let parentURL
export const initialize = (folder) => { parentURL = folder + '/' }
export const resolve = (specifier, context, next) =>
  next(specifier, specifier.startsWith('@tensorflow/') ? { ...context, parentURL } : context)
`
register(`data:text/javascript,${encodeURIComponent(hooks)}`, { data: new URL(import.meta.url).search.slice(1) })
