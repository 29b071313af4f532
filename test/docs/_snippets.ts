/**
 * Finds the code blocks of a Markdown file. A comment on the line before a block (blank lines between do not matter)
 * says what the tests do with it:
 *
 *     <!-- run -->                  js, ts: run it with Node.js; sh: run it with bash. It must exit with 0.
 *     <!-- run: -n 4 -->            js, ts: run it under `adasum run -n 4`.
 *     <!-- tfjs-node: -n 2 -->      the same with @tensorflow/tfjs-node, where scripts/test-tfjs-node.mjs has it; elsewhere
 *                                   only the syntax is checked.
 *     <!-- file: train.mjs -->      put it under that name where the later blocks of the document run.
 *     <!-- first-minute -->         the README's first program: first-minute.test.ts runs it, and the test of the packed
 *                                   package (scripts/test-package.mjs) all of it.
 *     <!-- syntax only -->          as without a comment: only the syntax of js, ts and sh is checked.
 *
 * A block of diff is two programs of JavaScript: what was there, which is run alone, and what becomes of it, which is run as the
 * comment says.
 *
 * All blocks of a document run in one temporary folder, in order; there `adasum` is this checkout, and the other
 * packages are those installed in it.
 */

export interface Snippet {
  /** Line of the opening fence, counted from 1. */
  line: number
  language: string
  code: string
  mark: Mark
}

export interface Mark {
  /** Name under which later blocks find it. */
  file?: string
  /** Absent: not run; a list: run under `adasum run` with these options; empty: alone. */
  run?: string[]
  /** Whether it is run only where @tensorflow/tfjs-node is. */
  needsTfjsNode?: true
}

const COMMENT = /^\s*<!--\s*(.*?)\s*-->\s*$/
const FENCE = /^(\s*)(```+|~~~+)\s*(\S*)/

/** @throws Error for a comment before a block that is none of the above: a misspelt one would be a test left out */
export function snippetsOf(markdown: string): Snippet[] {
  const lines = markdown.split('\n')
  const snippets: Snippet[] = []
  let comment = ''
  for (let at = 0; at < lines.length; at++) {
    const text = lines[at]!
    const fence = FENCE.exec(text)
    if (fence === null) {
      if (text.trim() !== '') comment = COMMENT.exec(text)?.[1] ?? ''
      continue
    }
    const [, indent, ticks, language] = fence
    const begin = at
    while (++at < lines.length && !lines[at]!.trim().startsWith(ticks!));
    const code = lines.slice(begin + 1, at).map((line) => line.replace(indent!, ''))
    const mark = readMark(comment, language!, begin + 1)
    const programs = language === 'diff' ? programsOf(code, mark) : [{ language: language!, code, mark }]
    for (const one of programs) snippets.push({ ...one, line: begin + 1, code: `${one.code.join('\n')}\n` })
    comment = ''
  }
  return snippets
}

/** The program before a change and the one behind it. */
function programsOf(lines: readonly string[], mark: Mark): { language: 'js'; code: string[]; mark: Mark }[] {
  const without = (sign: '+' | '-'): string[] =>
    lines.filter((line) => !line.startsWith(sign)).map((line) => line.slice(1))
  return [
    { language: 'js', code: without('+'), mark: mark.run === undefined ? {} : { ...mark, run: [] } },
    { language: 'js', code: without('-'), mark },
  ]
}

function readMark(comment: string, language: string, line: number): Mark {
  if (
    comment === '' ||
    comment === 'syntax only' ||
    comment === 'first-minute' ||
    comment.startsWith('prettier-ignore')
  )
    return {}
  if (comment === 'run') return { run: [] }
  const [, key, value] = /^(run|file|tfjs-node):\s*(.+)$/.exec(comment) ?? []
  if (key === 'run') return { run: value!.split(/\s+/) }
  if (key === 'tfjs-node') return { run: value!.split(/\s+/), needsTfjsNode: true }
  if (key === 'file') return { file: value! }
  throw new Error(`line ${line}: <!-- ${comment} --> says nothing about the block below it`)
}
