/** docs/environment.md and docs/errors.md name what the code reads and warns by: all of it, and nothing else. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { LAUNCHERS } from '../../ts/src/rendezvous/launchers/known.ts'
import { ROOT } from '../_user-folder.ts'

const SOURCE = /\.(ts|js|cjs|mjs|rs)$/
const IN_TESTS = /^(test|scripts|bench|examples)\/|^crates\/[^/]+\/(tests|benches)\//
const IN_PRODUCT = /^(ts\/src|bin|gpu)\/|^crates\/[^/]+\/(src\/|build\.rs)/

const sources = ['ts', 'bin', 'gpu', 'crates', 'test', 'scripts', 'bench', 'examples'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && SOURCE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).replaceAll('\\', '/').replace(/^\//, ''))
    .filter((path) => !path.includes('node_modules/') && path !== 'test/docs/environment.test.ts'),
)

/** Sorted, each once. */
function found(pattern: RegExp, text: string): string[] {
  const names = [...text.matchAll(pattern)].map((match) => match.slice(1).find((group) => group !== undefined)!)
  return [...new Set(names)].sort()
}

function textOf(where: RegExp): string {
  return sources.filter((path) => where.test(path)).map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n') // prettier-ignore
}

const NAME = /\b(ADASUM_[A-Z]+(?:_[A-Z]+)*)\b/g
/** As a program names a variable that it reads: a string of its own, or a property of the environment. */
const READ = /'(ADASUM_[A-Z_]+)'|"(ADASUM_[A-Z_]+)"|\benv\.(ADASUM_[A-Z_]+)/g
const WARNING = /\bemitWarning\([^;]{0,400}?'(ADASUM_[A-Z_]+)'/g

const OF_OTHERS = /'((?:TF|CUDA)_[A-Z_]+)'/g

/** First column of the table below a heading of a document. */
function tableOf(document: string, heading: string): string[] {
  const [, section = ''] = readFileSync(join(ROOT, 'docs', document), 'utf8').split(`\n## ${heading}\n`)
  return found(/^\| `([A-Z_]+)` *\|/gm, section.split('\n## ')[0]!)
}

const variables = tableOf('environment.md', 'For programs')
const forTests = tableOf('environment.md', 'For the tests of a checkout')
const warnings = tableOf('errors.md', 'Warnings')
const without = (names: string[], others: string[]): string[] => names.filter((name) => !others.includes(name))

test('every variable in the table is read, and what the code reads stands there', (t) => {
  const product = textOf(IN_PRODUCT)
  t.true(variables.length > 15)
  t.deepEqual(found(READ, product.replaceAll(WARNING, '')), variables)
})

test('every variable of other programs that the launcher sets stands in their table', (t) => {
  const table = tableOf('environment.md', 'That `adasum run` sets for other programs')
  t.deepEqual(found(OF_OTHERS, textOf(/^ts\/src\/cli\//)), table)
})

test('every warning in the table is given, and what the code warns by stands there', (t) => {
  t.deepEqual(found(WARNING, textOf(IN_PRODUCT)), warnings)
})

test('the code speaks of no other name', (t) => {
  t.deepEqual(without(found(NAME, textOf(IN_PRODUCT)), [...variables, ...warnings]), [])
})

test('the variables of tests, scripts and benchmarks are those of their table', (t) => {
  t.deepEqual(without(found(NAME, textOf(IN_TESTS)), [...variables, ...warnings]), forTests)
})

/** By what a launcher is known besides the number of a process and how many there are. */
const BESIDES = 'SLURM_STEP_ID'

test('docs/launchers.md has the launchers that are only recognised, and the variables that are read', (t) => {
  const page = readFileSync(join(ROOT, 'docs', 'launchers.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (\S.*?) *\| `(\w+)` *\| *(.*?) *\|$/gm)].map(([, name, rank, sizes]) => {
    return { name: name!, rank: rank!, sizes: found(/`([\w<>]+)`/g, sizes!).map((size) => size.replace('<TASK>', 'X')) }
  })
  const names = LAUNCHERS.map(({ name }) => name)
  t.deepEqual(['adasum run', 'torchrun', ...rows.map(({ name }) => name)], names)
  for (const { name, rank, sizes } of rows) {
    const launcher = LAUNCHERS[names.indexOf(name)]!
    const read = new Set<string>()
    const env = { [BESIDES]: '0', [rank]: '1', ...Object.fromEntries(sizes.map((size) => [size, ''])) }
    launcher.detect(new Proxy(env, { get: (_, key: string) => (read.add(key), env[key]) }))
    t.deepEqual([...read].filter((key) => key !== BESIDES).sort(), [rank, ...sizes].sort(), name)
    for (const size of sizes) t.is(launcher.detect({ ...env, [size]: '3' })?.size?.name, size)
  }
})
