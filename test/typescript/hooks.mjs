import { fileURLToPath } from 'node:url'
import { compiledSource } from './compile.mjs'

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  const { protocol, pathname } = new URL(url)
  if (protocol !== 'file:' || !pathname.endsWith('.ts')) return nextLoad(url, context)
  return { format: 'module', shortCircuit: true, source: await compiledSource(fileURLToPath(url)) }
}
