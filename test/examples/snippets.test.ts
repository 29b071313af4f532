/** What the documentation shows works; `_snippets.ts` says how a block is marked. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import ts from 'typescript'
import { ROOT, folderWith, installPackages } from '../_user-folder.ts'
import { documents } from '../docs/_documents.ts'
import { type Snippet, snippetsOf } from '../docs/_snippets.ts'

const LIMIT_MS = 90_000
const hasTfjsNode = process.env['ADASUM_TFJS_BACKEND'] === 'tensorflow'

test.before(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'all'], { stdio: 'inherit' })
})

function userFolder(t: ExecutionContext): string {
  const folder = folderWith(t, {})
  installPackages(folder)
  return folder
}

function syntaxErrors({ language, code }: Snippet): string[] {
  if (language === 'sh') {
    try {
      execFileSync('bash', ['-n'], { input: code, stdio: ['pipe', 'pipe', 'pipe'] })
      return []
    } catch (error) {
      return [String((error as { stderr: Buffer }).stderr)]
    }
  }
  if (language !== 'js' && language !== 'ts') return []
  const fileName = language === 'js' ? 'snippet.mjs' : 'snippet.mts'
  const { diagnostics = [] } = ts.transpileModule(code, {
    fileName,
    reportDiagnostics: true,
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ESNext, allowJs: true },
  })
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

interface Failure {
  exitCode: number | undefined
  output: string
}

async function runSnippet({ language, code, mark, line }: Snippet, folder: string): Promise<Failure | undefined> {
  const extension = { js: 'mjs', ts: 'mts', sh: 'sh' }[language]
  if (extension === undefined) return { exitCode: undefined, output: `a block of ${language} cannot be run` }
  const file = mark.file ?? `snippet-${line}.${extension}`
  writeFileSync(join(folder, file), code)
  if (mark.run === undefined) return undefined
  const [command, ...args] = commandFor(language, file, mark.run)
  const path = [join(folder, 'node_modules', '.bin'), process.env['PATH']].join(delimiter)
  const options = {
    cwd: folder,
    reject: false,
    all: true,
    timeout: LIMIT_MS,
    stdin: 'ignore',
    env: { PATH: path },
  } as const
  const { exitCode, all } = await execa(command!, args, options)
  return exitCode === 0 ? undefined : { exitCode, output: all }
}

function commandFor(language: string, file: string, options: readonly string[]): string[] {
  if (language === 'sh') return ['bash', '-euo', 'pipefail', file]
  if (options.length > 0) return ['adasum', 'run', ...options, file]
  return [process.execPath, ...(language === 'ts' ? ['--import', 'tsx'] : []), file]
}

for (const name of documents()) {
  test.serial(`the code in ${name}`, async (t) => {
    const folder = userFolder(t)
    for (const snippet of snippetsOf(readFileSync(join(ROOT, name), 'utf8'))) {
      const where = `${name}:${snippet.line}`
      t.deepEqual(syntaxErrors(snippet), [], where)
      const isRun = snippet.mark.file !== undefined || snippet.mark.run !== undefined
      const isHere = hasTfjsNode === Boolean(snippet.mark.needsTfjsNode)
      if (isRun && isHere) t.is(await runSnippet(snippet, folder), undefined, where)
    }
    t.pass()
  })
}

test('blocks, their languages and marks are found', (t) => {
  const markdown = [
    '<!-- run: -n 4 -->',
    '',
    '```js',
    'a()',
    '```',
    '<!-- run -->',
    'Words between take the mark away.',
    '~~~sh',
    'ls',
    '~~~',
    '- in a list',
    '  <!-- file: train.mjs -->',
    '  ```js title="x"',
    '  if (b) {',
    '    c()',
    '  }',
    '  ```',
    '<!-- first-minute -->',
    '```js',
    '```',
    '<!-- tfjs-node: -n 2 -->',
    '```js',
    '```',
    '<!-- run: -n 2 -->',
    '```diff',
    ' const a = 1',
    '-one(a)',
    '+two(a)',
    '',
    '+three(a)',
    '```',
  ].join('\n')
  t.deepEqual(snippetsOf(markdown), [
    { line: 3, language: 'js', code: 'a()\n', mark: { run: ['-n', '4'] } },
    { line: 8, language: 'sh', code: 'ls\n', mark: {} },
    { line: 13, language: 'js', code: 'if (b) {\n  c()\n}\n', mark: { file: 'train.mjs' } },
    { line: 19, language: 'js', code: '\n', mark: {} },
    { line: 22, language: 'js', code: '\n', mark: { run: ['-n', '2'], needsTfjsNode: true } },
    { line: 25, language: 'js', code: 'const a = 1\none(a)\n\n', mark: { run: [] } },
    { line: 25, language: 'js', code: 'const a = 1\ntwo(a)\n\nthree(a)\n', mark: { run: ['-n', '2'] } },
  ])
  t.throws(() => snippetsOf('<!-- runn -->\n```js\n```'), { message: /line 2: <!-- runn --> says nothing/ })
})

test('wrong code is noticed', async (t) => {
  const snippet = (language: string, code: string, mark = {}): Snippet => ({ line: 1, language, code, mark })
  t.true(syntaxErrors(snippet('js', 'const = 3')).length > 0)
  t.true(syntaxErrors(snippet('ts', 'let x: = 3')).length > 0)
  t.regex(syntaxErrors(snippet('sh', 'if true; then'))[0]!, /syntax error/)
  t.deepEqual(syntaxErrors(snippet('js', 'await import("x")')), [])
  const folder = userFolder(t)
  const failure = await runSnippet(snippet('js', `throw new Error('wrong on purpose')`, { run: [] }), folder)
  t.is(failure?.exitCode, 1)
  t.regex(failure?.output ?? '', /wrong on purpose/)
  t.is((await runSnippet(snippet('js', 'process.exit(4)', { run: ['-n', '2'] }), folder))?.exitCode, 4)
  t.is((await runSnippet(snippet('sh', 'false | true', { run: [] }), folder))?.exitCode, 1)
  t.is(await runSnippet(snippet('js', `import { adasum } from 'adasum'\nvoid adasum`, { run: [] }), folder), undefined)
})
