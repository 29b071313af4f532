/** Links between documents lead somewhere: to a file of the repository, and to a heading in it if they name one. */
import { existsSync, readFileSync } from 'node:fs'
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

test('wrong links are noticed', (t) => {
  const text = '[a](b.md) [c](https://x.org) `[d](e)` [f](docs/b.md#the-end) [g](#no)\n```\n[h](i)\n```\n# The end'
  t.deepEqual(linksOf(text), ['b.md', 'docs/b.md#the-end', '#no'])
  const read = (file: string): string | undefined => (file === 'docs/b.md' ? '## The end' : undefined)
  t.is(problemOf('a.md', 'b.md', read), 'a.md: b.md leads nowhere')
  t.is(problemOf('a.md', 'docs/b.md#the-end', read), undefined)
  t.is(problemOf('docs/b.md', '#the-end', read), undefined)
  t.is(problemOf('a.md', 'docs/b.md#the-start', read), 'a.md: docs/b.md#the-start names no heading')
})
