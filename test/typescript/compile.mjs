// TypeScript as JavaScript, kept by what the source is: the compiler is needed once for each version of a file.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FOLDER = join(ROOT, '.tools', 'compiled')
/** Lines and columns of errors are those of the source. */
const OPTIONS = /** @type {const} */ ({ loader: 'ts', target: 'node20', sourcemap: 'inline', sourcesContent: false })

/** @param {string} path @param {string} source */
const keptPath = (path, source) =>
  join(FOLDER, `${basename(path)}-${createHash('sha1').update(path).update(source).digest('hex')}`)

/** @param {string} path @param {string} source @param {string} kept */
async function compile(path, source, kept) {
  const { transform } = await import('esbuild')
  const { code } = await transform(source, { ...OPTIONS, sourcefile: path })
  mkdirSync(FOLDER, { recursive: true })
  // Another process may do the same at the same time.
  const own = `${kept}.${process.pid}`
  writeFileSync(own, code)
  renameSync(own, kept)
  return code
}

/** @param {string} path */
export async function compiledSource(path) {
  const source = readFileSync(path, 'utf8')
  const kept = keptPath(path, source)
  try {
    return readFileSync(kept, 'utf8')
  } catch {
    return compile(path, source, kept)
  }
}

/** In one process, so that others need no compiler. @param {readonly string[]} folders */
export async function compileAll(folders) {
  const files = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter(({ name, parentPath }) => name.endsWith('.ts') && !parentPath.includes('node_modules'))
      .map(({ name, parentPath }) => join(parentPath, name)),
  )
  await Promise.all(
    files.map(async (path) => {
      const source = readFileSync(path, 'utf8')
      const kept = keptPath(path, source)
      if (!existsSync(kept)) await compile(path, source, kept)
    }),
  )
}
