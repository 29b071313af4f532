/**
 * dist/ as it is built here: few files, so that a process starts fast, and no code twice, so that an error of one entry
 * is an instance of the class that another exports.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import test from 'ava'
import { entryPoints } from '../../scripts/lib/javascript-bundle.mjs'
import { ROOT } from './_sources.ts'

const DIST = join(ROOT, 'dist')
const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'))
const importsOf = (file: string): string[] =>
  [...readFileSync(join(DIST, file), 'utf8').matchAll(/(?:from|import|import\() ?"(\.[^"]+)"/g)].map(([, path]) =>
    resolve('/', dirname(file), path!).slice(1),
  )

/** What is loaded with a file. */
function loadedWith(file: string, seen: Set<string> = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const imported of importsOf(file)) loadedWith(imported, seen)
  return seen
}

test('each file that package.json names is there, and every other one is a chunk of them', (t) => {
  const entries = entryPoints(ROOT).map((name) => `${name}.js`)
  t.true(entries.includes('index.js') && entries.includes('cli/main.js') && entries.includes('binding/node.js'))
  for (const entry of entries) t.true(existsSync(join(DIST, entry)), entry)
  const loaded = entries.reduce((seen, entry) => loadedWith(entry, seen), new Set<string>())
  t.deepEqual(files.toSorted(), [...loaded].toSorted())
})

test('a program that imports the package loads few files', (t) => {
  const count = loadedWith('index.js').size
  t.true(count > 1 && count <= 27, `${count} files`)
})

test('no source is in two files of dist', (t) => {
  // The bundler says above each part where it is from.
  const parts = files.flatMap((file) => [
    ...new Set(readFileSync(join(DIST, file), 'utf8').match(/^\/\/ ts\/src\/.+$/gm) ?? []),
  ])
  t.true(parts.length > 150, `${parts.length} parts`)
  t.deepEqual(
    parts.filter((part, i) => parts.indexOf(part) !== i),
    [],
  )
})
