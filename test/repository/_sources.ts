/** The files of ts/src, and what they import. */
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))
const SOURCE = join(ROOT, 'ts', 'src')

/** Texts by path below ts/src, with forward slashes. */
export type Sources = ReadonlyMap<string, string>

export function readSources(): Sources {
  const files = readdirSync(SOURCE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = files.map((file) => relative(SOURCE, join(file.parentPath, file.name)).replaceAll(sep, '/'))
  return new Map(paths.map((path) => [path, readFileSync(join(SOURCE, path), 'utf8')]))
}

/** What a text imports, by whatever name it does so: types, re-exports and dynamic imports included. */
export function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
}

/** The file that a relative import of `path` means. */
export function targetOf(path: string, name: string): string {
  return normalize(join(dirname(path), name)).replaceAll(sep, '/')
}

/** The files that such an import may stand for: for Node.js, and elsewhere. */
export const PLATFORM_FILES: Readonly<Record<string, readonly string[]>> = {
  '#binding': ['binding/node.ts', 'binding/node-wasm.ts', 'binding/web.ts'],
  '#gpu-binding': ['gpu/load.ts', 'gpu/web/load.ts'],
  '#platform': ['platform/node.ts', 'platform/web.ts'],
}
