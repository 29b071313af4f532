/**
 * A file in ts/src imports its own folder and lower layers only (ARCHITECTURE.md, Layers). So a layer can be read,
 * tested and replaced knowing only what lies below it. What computes is chosen in one place: `#binding`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { PLATFORM_FILES, ROOT, type Sources, importsOf, readSources, targetOf } from './_sources.ts'

/** From the lowest up; files at the top of ts/src stand here by name. */
const LAYERS: readonly (readonly string[])[] = [
  [
    'bytes.ts',
    'call-records.ts',
    'compressor.ts',
    'connect-options.ts',
    'error-codes.ts',
    'errors.ts',
    'printable.ts',
    'queue.ts',
    'tuning.ts',
    'types.ts',
  ],
  ['platform'],
  ['timing'],
  ['binding'],
  ['tensor'],
  ['observe'],
  ['kernels', 'transport'],
  ['shared-memory'],
  ['wire'],
  ['rendezvous', 'group', 'heartbeat'],
  ['collectives'],
  ['gpu'],
  ['reduction'],
  ['world'],
  ['communicator'],
  ['optim'],
  ['training'],
  ['checkpoint'],
  ['adapters'],
  ['index.ts', 'index.browser.ts'],
  ['cli'],
]

/** What runs in browsers, too: of Node.js it uses what `#platform` has, and nothing else. */
const NEUTRAL: ReadonlySet<string> = new Set([
  ...LAYERS[0]!,
  ...['timing', 'tensor', 'kernels', 'wire', 'group', 'collectives', 'reduction', 'optim', 'training'],
])

/** What Node.js alone has, as a name of its own. */
const NODE_ONLY = /\bBuffer\.|: Buffer\b|<Buffer\b|\bsetImmediate\(|\bprocess\.|['"]node:/

/**
 * What other folders may import of binding/ by name: the contracts, and what all implementations have in common. The
 * implementations they get through `#binding` alone, which chooses one for the whole process.
 */
const OPEN_BINDING_FILES: ReadonlySet<string> = new Set([
  'binding/binding.ts',
  'binding/fetch-bytes.ts',
  'binding/installation.ts',
  'binding/shared-memory.ts',
  'binding/typed-array.ts',
  'binding/typed-error.ts',
  'binding/wasm-platform.ts',
])

/** The native addon, however it is asked for. */
const ADDON = /#native|\bdlopen\b|\bnative\/index\.cjs\b/

/** What is wrong with the imports of the sources. */
function violations(sources: Sources, packages: ReadonlySet<string>): string[] {
  return [...sources].flatMap(([path, text]) => {
    const found = importsOf(text).flatMap((name) => violation(path, name, sources, packages) ?? [])
    const asks = folderOf(path) === 'binding' ? undefined : ADDON.exec(text)?.[0]
    if (asks !== undefined) found.push(`${path} asks for the addon (${asks}), which only binding/ may`)
    const node = NEUTRAL.has(folderOf(path)) ? NODE_ONLY.exec(withoutComments(text))?.[0] : undefined
    return node === undefined ? found : [...found, `${path} uses ${node}, which no browser has: see #platform`]
  })
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '')
}

function violation(path: string, name: string, sources: Sources, packages: ReadonlySet<string>): string | undefined {
  if (name.startsWith('node:') || name.startsWith('#wasm/')) return undefined
  // All of its files are of one layer.
  const platformFile = PLATFORM_FILES[name]?.[0]
  if (platformFile !== undefined) return layerViolation(path, platformFile)
  if (!name.startsWith('.')) {
    const packageName = name.split('/', name.startsWith('@') ? 2 : 1).join('/')
    return packages.has(packageName) ? undefined : `${path} imports ${name}, which package.json does not name`
  }
  const target = targetOf(path, name)
  if (!sources.has(target)) return `${path} imports ${name}, which does not exist`
  const isOther = folderOf(target) === 'binding' && folderOf(path) !== 'binding'
  if (isOther && !OPEN_BINDING_FILES.has(target)) return `${path} imports ${target}: only #binding may choose it`
  return layerViolation(path, target)
}

function layerViolation(path: string, target: string): string | undefined {
  const [from, to] = [folderOf(path), folderOf(target)]
  if (from === to) return undefined
  const [fromLayer, toLayer] = [layerOf(from), layerOf(to)]
  if (fromLayer === -1) return `${from} is in no layer`
  if (toLayer === -1) return `${to} is in no layer`
  if (fromLayer === 0 && toLayer === 0) return undefined
  return toLayer < fromLayer ? undefined : `${path} imports ${target}, which is not below it`
}

function folderOf(path: string): string {
  return path.split('/')[0]!
}

function layerOf(folder: string): number {
  return LAYERS.findIndex((folders) => folders.includes(folder))
}

function declaredPackages(): ReadonlySet<string> {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Record<string, object | undefined>
  return new Set(['dependencies', 'peerDependencies'].flatMap((field) => Object.keys(manifest[field] ?? {})))
}

test('every file imports its own folder and lower layers only', (t) => {
  const sources = readSources()
  t.true(sources.size > 0)
  t.deepEqual(violations(sources, declaredPackages()), [])
})

test('every folder is in a layer', (t) => {
  t.deepEqual(
    [...new Set([...readSources().keys()].map(folderOf))].filter((folder) => layerOf(folder) === -1),
    [],
  )
})

const MADE_UP: [name: string, sources: Record<string, string>, complaint: RegExp][] = [
  [
    'upwards',
    { 'wire/a.ts': `import '../group/b.ts'`, 'group/b.ts': '' },
    /wire\/a\.ts imports group\/b\.ts, which is not below it/,
  ],
  [
    'sideways',
    { 'kernels/a.ts': `export * from '../transport/b.ts'`, 'transport/b.ts': '' },
    /kernels\/a\.ts imports transport\/b\.ts, which is not below it/,
  ],
  [
    'types only',
    { 'wire/a.ts': `import type { B } from '../cli/b.ts'`, 'cli/b.ts': '' },
    /wire\/a\.ts imports cli\/b\.ts, which is not below it/,
  ],
  [
    'dynamically',
    { 'wire/a.ts': `await import('../cli/b.ts')`, 'cli/b.ts': '' },
    /wire\/a\.ts imports cli\/b\.ts, which is not below it/,
  ],
  [
    'through the entry',
    { 'cli/x/a.ts': '', 'optim/b.ts': `import '../index.ts'`, 'index.ts': '' },
    /optim\/b\.ts imports index\.ts, which is not below it/,
  ],
  ['from no layer', { 'extra/a.ts': `import '../errors.ts'`, 'errors.ts': '' }, /extra is in no layer/],
  ['a file that is not there', { 'wire/a.ts': `import './b.ts'` }, /which does not exist/],
  [
    'an undeclared package',
    { 'wire/a.ts': `import 'left-pad/lib'` },
    /left-pad\/lib, which package\.json does not name/,
  ],
  [
    'an implementation of the binding, past #binding',
    { 'communicator/a.ts': `import { loadBinding } from '../binding/native.ts'`, 'binding/native.ts': '' },
    /communicator\/a\.ts imports binding\/native\.ts: only #binding may choose it/,
  ],
  [
    'one of the files behind #binding, for its types',
    { 'cli/a.ts': `import type { BindingInUse } from '../binding/node-wasm.ts'`, 'binding/node-wasm.ts': '' },
    /cli\/a\.ts imports binding\/node-wasm\.ts: only #binding may choose it/,
  ],
  [
    'the addon itself',
    { 'transport/a.ts': `import { createRequire } from 'node:module'\ncreateRequire(import.meta.url)('#native')` },
    /transport\/a\.ts asks for the addon \(#native\), which only binding\/ may/,
  ],
  [
    'a module of Node.js where browsers come along',
    { 'wire/a.ts': `import { crc32 } from 'node:zlib'` },
    /wire\/a\.ts uses 'node:, which no browser has/,
  ],
  [
    'a Buffer there',
    { 'group/a.ts': `export const bytes = Buffer.alloc(1)` },
    /group\/a\.ts uses Buffer\., which no browser has/,
  ],
  [
    '#binding from below it',
    { 'errors.ts': `import { loadBinding } from '#binding'` },
    /errors\.ts imports binding\/node\.ts, which is not below it/,
  ],
]
for (const [name, sources, complaint] of MADE_UP) {
  test(`a made-up import is noticed: ${name}`, (t) => {
    const found = violations(new Map(Object.entries(sources)), new Set(['commander']))
    t.is(found.length, 1)
    t.regex(found[0]!, complaint)
  })
}

test('downward and own imports are none', (t) => {
  const sources = {
    'cli/run/a.ts': `import { b } from '../b.ts'\nimport 'commander'\nimport 'node:fs'\nimport '../../index.ts'`,
    'cli/b.ts': `import type { AdasumError } from '../errors.ts'`,
    'errors.ts': `import './types.ts'`,
    'types.ts': '',
    'index.ts': `export * from './errors.ts'`,
    'kernels/a.ts': `import { loadBinding } from '#binding'\nimport type { Binding } from '../binding/binding.ts'`,
    'binding/binding.ts': '',
    'binding/native.ts': `import './binding.ts'\ncreateRequire(import.meta.url)('#native')`,
  }
  t.deepEqual(violations(new Map(Object.entries(sources)), new Set(['commander'])), [])
})
