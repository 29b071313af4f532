/**
 * Links between documents lead somewhere: to a file of the repository, and to a heading in it if they name one. So do the
 * names of files and of npm's scripts, and every page can be found.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import test from 'ava'
import { ROOT } from '../_user-folder.ts'
import { documents } from './_documents.ts'

const withoutCode = (markdown: string): string =>
  markdown.replace(/^(```+|~~~+)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '')

/** Targets of links and pictures that are no web addresses. */
function linksOf(markdown: string): string[] {
  const links = [...withoutCode(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!)
  return links.filter((target) => !/^[a-z]+:/.test(target))
}

/** Headings as GitHub names them in addresses. */
function anchorsOf(markdown: string): Set<string> {
  const headings = [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title!)
  return new Set(
    headings.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function problemOf(from: string, link: string, read: (file: string) => string | undefined): string | undefined {
  const [path, anchor] = link.split('#', 2)
  const file = path === '' ? from : normalize(join(dirname(from), path!))
  const text = read(file)
  if (text === undefined) return `${from}: ${link} leads nowhere`
  if (anchor !== undefined && !anchorsOf(text).has(anchor)) return `${from}: ${link} names no heading`
  return undefined
}

const readInRepository = (file: string): string | undefined => {
  const path = join(ROOT, file)
  if (!existsSync(path)) return undefined
  return file.endsWith('.md') ? readFileSync(path, 'utf8') : ''
}

test('every link of every document leads to something', (t) => {
  const problems = documents().flatMap((from) =>
    linksOf(readInRepository(from)!).map((link) => problemOf(from, link, readInRepository)),
  )
  t.true(problems.length > 20)
  t.deepEqual(problems.filter((problem) => problem !== undefined), []) // prettier-ignore
})

test('the README leads to every page of docs', (t) => {
  const fromReadme = linksOf(readInRepository('README.md')!).map((link) => link.split('#')[0])
  const pages = documents().filter((name) => name.startsWith('docs/'))
  t.true(pages.length >= 20)
  // Those in a folder are reached from the page of the folder's name.
  const folderOf = (name: string): string | undefined => /^docs\/([^/]+)\//.exec(name)?.[1]
  const fromPageOf = (folder: string): string[] =>
    linksOf(readInRepository(`docs/${folder}.md`)!).map((link) => join('docs', link.split('#')[0]!))
  t.deepEqual(pages.filter((name) => folderOf(name) === undefined && !fromReadme.includes(name)), []) // prettier-ignore
  const inFolders = pages.filter((name) => folderOf(name) !== undefined)
  t.deepEqual(inFolders.filter((name) => !fromPageOf(folderOf(name)!).includes(name)), []) // prettier-ignore
})

/** Names of files in backticks, by their paths from the root, from `ts/src` or from one crate. */
function filesNamedIn(markdown: string): string[] {
  const folders = '(?:ts|crates|scripts|test|bench|examples|docs|src|tests|[a-z-]+)'
  const name = new RegExp(`\\x60(${folders}/[\\w./-]+\\.(?:ts|mjs|rs|c|json|md|wgsl))\\x60`, 'g')
  return [...markdown.matchAll(name)].map(([, path]) => path!)
}

const crates = readdirSync(join(ROOT, 'crates')).flatMap((crate) => [`crates/${crate}`, `crates/${crate}/src`])
const isThere = (path: string): boolean =>
  ['', 'ts/src', 'wasm', ...crates].some((folder) => existsSync(join(ROOT, folder, path)))

test('files and scripts that documents name are there', (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const named = documents().map((from) => ({ from, text: readInRepository(from)! }))
  const files = named.flatMap(({ from, text }) => filesNamedIn(text).map((path) => ({ from, path })))
  const commands = named.flatMap(({ from, text }) =>
    [...text.matchAll(/npm run (?:--silent )?([\w:-]+)/g)].map(([, script]) => ({ from, script: script! })),
  )
  t.true(files.length > 30 && commands.length > 30)
  t.deepEqual(files.filter(({ path }) => !isThere(path)), []) // prettier-ignore
  t.deepEqual(commands.filter(({ script }) => !(script in scripts)), []) // prettier-ignore
})

test('the page on convergence names every test of its statements, and no other', (t) => {
  const source = readFileSync(join(ROOT, 'test/reduction/convergence.test.ts'), 'utf8')
  const titles = [...source.matchAll(/^(?:test|property)\('([^']+)'/gm)].map(([, title]) => title!)
  const page = readInRepository('docs/convergence.md')!
  const named = [...page.matchAll(/`([^`\n]+ [^`\n]+)`/g)].map(([, title]) => title!)
  t.true(titles.length > 20)
  t.deepEqual([...new Set(named)].sort(), titles.sort())
})

test('wrong links are noticed', (t) => {
  const text = '[a](b.md) [c](https://x.org) `[d](e)` [f](docs/b.md#the-end) [g](#no)\n```\n[h](i)\n```\n# The end'
  t.deepEqual(linksOf(text), ['b.md', 'docs/b.md#the-end', '#no'])
  const read = (file: string): string | undefined => (file === 'docs/b.md' ? '## The end' : undefined)
  t.is(problemOf('a.md', 'b.md', read), 'a.md: b.md leads nowhere')
  t.is(problemOf('a.md', 'docs/b.md#the-end', read), undefined)
  t.is(problemOf('docs/b.md', '#the-end', read), undefined)
  t.is(problemOf('a.md', 'docs/b.md#the-start', read), 'a.md: docs/b.md#the-start names no heading')
  const named = filesNamedIn('See `group/nowhere.ts`, `ts/src/errors.ts`, `kernel/mod.rs` and `errors.ts`.')
  t.deepEqual(named, ['group/nowhere.ts', 'ts/src/errors.ts', 'kernel/mod.rs'])
  t.deepEqual(named.map(isThere), [false, true, true])
})
