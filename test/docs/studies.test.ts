/** docs/studies: pages and charts are those that the committed results give. `npm run study:pages` writes them. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { type Pages, isMade, pagesOf, withList } from '../../studies/pages/pages.ts'
import { readResults } from '../../studies/pages/results.ts'
import { ROOT } from '../_user-folder.ts'

const RESULTS = join('studies', 'results')
const DOCS = join(ROOT, 'docs', 'studies')

/** A study that is running has results that are not committed yet; without git all that is there is read. */
function isCommitted(): (name: string) => boolean {
  try {
    const names = execFileSync('git', ['ls-files', '--', RESULTS], { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' })
    const committed = new Set(names.split('\n'))
    return (name) => committed.has(`studies/results/${name}`)
  } catch {
    return () => true
  }
}

let made: Promise<Pages> | undefined
const pages = (): Promise<Pages> => (made ??= pagesOf(readResults(join(ROOT, RESULTS), isCommitted())))

test('the pages of studies are those of the committed results', async (t) => {
  const { files } = await pages()
  t.deepEqual(readdirSync(DOCS).filter(isMade).sort(), [...files.keys()].sort()) // prettier-ignore
  for (const [name, text] of files)
    t.true(readFileSync(join(DOCS, name), 'utf8') === text, `docs/studies/${name} is another one: run npm run study:pages`) // prettier-ignore
})

test('docs/studies.md leads to them, and says what has not been run', async (t) => {
  const { list } = await pages()
  const document = readFileSync(join(ROOT, 'docs', 'studies.md'), 'utf8')
  t.is(withList(document, list), document)
})
