/** The advice of docs/when-to-use.md: its figures are those of the studies' pages, which are made of results. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ROOT } from '../repository/_sources.ts'

const FIGURE = /\d+\.\d+(?: %)?/g
const PAGE = /\]\((studies\/[a-z-]+\.md)\)/g

const read = (name: string): string => readFileSync(join(ROOT, 'docs', name), 'utf8')

/** Table rows, and paragraphs as one line each. */
function statements(text: string): string[] {
  const blocks = text.split(/\n\n+/).flatMap((block) => (block.startsWith('|') ? block.split('\n') : [block]))
  return blocks.map((block) => block.replaceAll('\n', ' '))
}

/** Figures that stand on none of the pages that the same statement names. */
function unfounded(text: string, pageOf: (name: string) => string): string[] {
  return statements(text).flatMap((statement) => {
    const pages = [...statement.matchAll(PAGE)].map(([, name]) => pageOf(name!))
    const figures = statement.match(FIGURE) ?? []
    return figures.filter((figure) => !pages.some((page) => page.match(FIGURE)?.includes(figure)))
  })
}

test('each figure stands on the page of the study that is named beside it', (t) => {
  const text = read('when-to-use.md')
  t.true((text.match(FIGURE) ?? []).length > 30)
  t.deepEqual(unfounded(text, read), [])
})

test('a figure that no page has is noticed, and one without a page', (t) => {
  const page = (): string => 'comes to 90.35 % (90.02 to 90.67) and 0.88 of the steps'
  t.deepEqual(unfounded('| a | 90.35 % | [x](studies/x.md) |', page), [])
  t.deepEqual(unfounded('| a | 90.3 % and 0.8 | [x](studies/x.md) |', page), ['90.3 %', '0.8'])
  t.deepEqual(unfounded('| a | 90.36 % | [x](studies/x.md) |\n| b | 0.88 |', page), ['90.36 %', '0.88'])
})
