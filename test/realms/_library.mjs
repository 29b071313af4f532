// The built package inside a context of its own, as test runners load it: the language's classes (Error, Uint8Array, Promise,
// ...) are the context's, Node's modules, Buffer and the rest are those of the main realm.
import { readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'

const NODE_GLOBALS = [
  'AbortController',
  'AbortSignal',
  'Buffer',
  'Event',
  'EventTarget',
  'TextDecoder',
  'TextEncoder',
  'URL',
]
const FUNCTIONS = [
  'clearImmediate',
  'clearInterval',
  'clearTimeout',
  'fetch',
  'queueMicrotask',
  'setImmediate',
  'setInterval',
]
const MORE = ['console', 'crypto', 'performance', 'process', 'setTimeout', 'structuredClone']

/** @returns {vm.Context} */
export function newContext() {
  const names = [...NODE_GLOBALS, ...FUNCTIONS, ...MORE]
  return vm.createContext(Object.fromEntries(names.map((name) => [name, /** @type {any} */ (globalThis)[name]])))
}

/**
 * @param {string} url of the entry
 * @param {vm.Context} context
 * @param {Readonly<Record<string, string>>} imports addresses for the package's own names
 */
export async function loadIn(url, context, imports) {
  /** @type {Map<string, vm.Module>} */
  const modules = new Map()
  const resolve = (/** @type {string} */ name, /** @type {string} */ from) =>
    isBuiltin(name) ? name : (imports[name] ?? (name.startsWith('.') ? new URL(name, from).href : missing(name)))
  const moduleOf = (/** @type {string} */ address) => {
    const made = modules.get(address) ?? make(address)
    modules.set(address, made)
    return made
  }
  const make = (/** @type {string} */ address) => {
    if (isBuiltin(address)) {
      const exports = createRequire(import.meta.url)(address)
      const names = [...new Set(['default', ...Object.keys(exports)])]
      return new vm.SyntheticModule(names, function () {
        for (const name of names) this.setExport(name, name === 'default' ? exports : exports[name])
      }, { context, identifier: address }) // prettier-ignore
    }
    return new vm.SourceTextModule(readFileSync(fileURLToPath(address), 'utf8'), {
      context,
      identifier: address,
      initializeImportMeta: (meta) => void (meta.url = address),
      importModuleDynamically: (name) => missing(name),
    })
  }
  const root = moduleOf(url)
  await root.link((name, from) => moduleOf(resolve(name, from.identifier)))
  await root.evaluate()
  return root.namespace
}

/** @param {string} name @returns {never} */
function missing(name) {
  throw new Error(`${name} is not there`)
}
