/** Documents hold no garbage: no sentence twice, none that lacks an end, none without the words that it belongs to. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { ROOT } from '../_user-folder.ts'
import { documents } from './_documents.ts'
import { paragraphsOf, proseProblemsOf, sentencesOf } from './_prose.ts'

for (const name of documents()) {
  test(`the prose of ${name}`, (t) => {
    t.deepEqual(proseProblemsOf(readFileSync(join(ROOT, name), 'utf8')), [])
  })
}

test('documents have prose, and it is found', (t) => {
  const found = documents().map((name) => paragraphsOf(readFileSync(join(ROOT, name), 'utf8')).length)
  t.true(Math.min(...found) > 1, found.join())
})

test('code, tables and headings are no prose; items of a list are paragraphs of their own', (t) => {
  const markdown =
    '# Head\n\nOne.\nTwo.\n\n```sh\nls\n```\n\n| a |\n| - |\n\n- Three\n  and four.\n- Five.\n\n|x| is a norm.'
  t.deepEqual(paragraphsOf(markdown), [
    { line: 3, lines: ['One.', 'Two.'] },
    { line: 13, lines: ['Three', 'and four.'] },
    { line: 15, lines: ['Five.'] },
    { line: 17, lines: ['|x| is a norm.'] },
  ])
  t.deepEqual(sentencesOf({ line: 1, lines: ['One (of `a`.) Two,', '2.5 of three: **Four.** Five'] }), [
    'One (of `a`.)',
    'Two, 2.5 of three:',
    '**Four.**',
    'Five',
  ])
})

const problemsOf = (...lines: string[]): string[] => proseProblemsOf(lines.join('\n'))

test('two versions of a line, left over from a merge, are noticed', (t) => {
  const [problem, ...more] = problemsOf(
    'If none is set, the world has one rank. The secret, the tuning or the sharing of memory say nothing about a world: it has one rank.',
    'If none is set, the world has one rank. The secret, the machine or the tuning say nothing about a world: it has one rank.',
  )
  t.regex(problem ?? '', /^line 1: said twice: If none/)
  t.is(more.length, 1, 'and the sentence that both share')
  t.regex(more[0]!, /^line 1: said before: If none is set/)
})

test('a sentence that is said again further down is noticed', (t) => {
  t.deepEqual(problemsOf('A call succeeds or throws, always.', '', 'One more. A call succeeds or throws, always.'), [
    'line 3: said before: A call succeeds or throws, always.',
  ])
  t.deepEqual(problemsOf('See below.', '', 'See below.'), [], 'short ones may be')
})

test('words that have lost their sentence are noticed', (t) => {
  t.regex(problemsOf('```sh', 'ls', '```', '', 'does it in a page.')[0]!, /^line 5: a sentence begins in its middle/)
  t.regex(problemsOf(`One. Two of ${'many '.repeat(20)}words`)[0]!, /^line 1: a sentence has no end/)
  t.regex(problemsOf('An empty one takes 12 us.', '<!-- run -->')[0]!, /^line 2: a comment sticks to the words/)
  t.deepEqual(problemsOf('adasum is small, n is a letter.', '', 'f16 has two bytes.', '', 'n - 1 of n.'), [])
})
