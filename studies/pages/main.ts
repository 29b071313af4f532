// Writes the pages of the studies that have results: `npm run study:pages`. docs/studies.md says what they hold.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isMade, pagesOf, withList } from './pages.ts'
import { readResults } from './results.ts'

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const HELP = `usage: npm run study:pages [-- options]

  --results DIR  folder of the files with results (default studies/results)
  --out DIR      folder of the pages (default docs/studies, whose list in docs/studies.md is written, too)
  --quick        the results are of quick runs: a look at pages whose figures mean nothing; takes --out
`

try {
  await main()
} catch (error) {
  process.stderr.write(`study:pages: ${(error as Error).message}\n`)
  process.exitCode = 1
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      results: { type: 'string', default: join(ROOT, 'studies', 'results') },
      out: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { results, quick, help } = values
  if (help) return void process.stdout.write(HELP)
  if (quick && values.out === undefined) throw new Error('quick results are none to be published: name a folder by --out.') // prettier-ignore
  const folder = values.out ?? join(ROOT, 'docs', 'studies')
  const { files, list } = await pagesOf(readResults(results), quick)
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (isMade(name) && !files.has(name)) rmSync(join(folder, name))
  for (const [name, text] of files) writeFileSync(join(folder, name), text)
  if (values.out === undefined) {
    const path = join(ROOT, 'docs', 'studies.md')
    writeFileSync(path, withList(readFileSync(path, 'utf8'), list))
  }
  const count = [...files.keys()].filter((name) => name.endsWith('.md')).length
  process.stdout.write(`${count} pages, ${files.size - count} charts\n`)
}
