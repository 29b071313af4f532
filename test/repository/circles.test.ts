/**
 * No file in ts/src imports, by way of others or not, a file that imports it, for types neither: what is below a file can be read
 * and tested without it.
 */
import test from 'ava'
import { PLATFORM_FILES, type Sources, importsOf, readSources, targetOf } from './_sources.ts'

/** The circles among the files: of each, all files that reach each other. */
function circles(sources: Sources): string[] {
  const imports = new Map([...sources].map(([path, text]) => [path, targetsOf(path, text)]))
  const reached = new Map([...sources.keys()].map((path) => [path, reachedFrom(path, imports)]))
  const found = new Set<string>()
  for (const [path, below] of reached) {
    if (!below.has(path)) continue
    const members = [...below].filter((other) => reached.get(other)?.has(path))
    found.add(members.sort().join(' <-> '))
  }
  return [...found]
}

function targetsOf(path: string, text: string): string[] {
  return importsOf(text).flatMap((name) => PLATFORM_FILES[name] ?? (name.startsWith('.') ? [targetOf(path, name)] : []))
}

/** The file itself only if it is in a circle. */
function reachedFrom(path: string, imports: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const reached = new Set<string>()
  const left = [...(imports.get(path) ?? [])]
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (reached.has(next)) continue
    reached.add(next)
    left.push(...(imports.get(next) ?? []))
  }
  return reached
}

test('no file imports one that imports it', (t) => {
  const sources = readSources()
  t.true(sources.size > 0)
  t.deepEqual(circles(sources), [])
})

const MADE_UP: [name: string, sources: Record<string, string>, found: string[]][] = [
  ['of itself', { 'wire/a.ts': `import './a.ts'` }, ['wire/a.ts']],
  [
    'of types',
    { 'wire/a.ts': `import type { B } from './b.ts'`, 'wire/b.ts': `import { type A } from './a.ts'` },
    ['wire/a.ts <-> wire/b.ts'],
  ],
  [
    'of a type that is imported where it is named',
    { 'wire/a.ts': `export type A = import('./b.ts').B`, 'wire/b.ts': `export * from './a.ts'` },
    ['wire/a.ts <-> wire/b.ts'],
  ],
  [
    'of three, and of those that only lead there nothing',
    {
      'cli/main.ts': `import '../wire/a.ts'`,
      'wire/a.ts': `import './b.ts'`,
      'wire/b.ts': `await import('../group/c.ts')`,
      'group/c.ts': `import '../wire/a.ts'\nimport '../errors.ts'`,
      'errors.ts': '',
    },
    ['group/c.ts <-> wire/a.ts <-> wire/b.ts'],
  ],
  [
    'two of them',
    { 'a.ts': `import './b.ts'`, 'b.ts': `import './a.ts'`, 'c.ts': `import './d.ts'`, 'd.ts': `import './c.ts'` },
    ['a.ts <-> b.ts', 'c.ts <-> d.ts'],
  ],
  [
    'by way of what a browser has in its place',
    { 'gpu/reducer.ts': `import '#gpu-binding'`, 'gpu/load.ts': '', 'gpu/web/load.ts': `import '../reducer.ts'` },
    ['gpu/reducer.ts <-> gpu/web/load.ts'],
  ],
  [
    'none where two ways lead to the same file',
    { 'a.ts': `import './b.ts'\nimport './c.ts'`, 'b.ts': `import './c.ts'`, 'c.ts': `import 'commander'` },
    [],
  ],
]
for (const [name, sources, found] of MADE_UP)
  test(`a made-up circle is noticed: ${name}`, (t) => {
    t.deepEqual(circles(new Map(Object.entries(sources))), found)
  })
