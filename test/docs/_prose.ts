/** What a tool can see of a document's prose: signs of a bad merge, and sentences that lack one of their ends. */

export interface Paragraph {
  /** Line on which it begins, counted from 1. */
  line: number
  lines: string[]
}

const FENCE = /^\s*(```+|~~~+)/
const NO_PROSE = /^\s*(#|\|.*\|$|>|!\[|<!--|\[\^)/
const ITEM = /^\s*([-*]|\d+\.) /

/** Words that begin a line of text, without headings, tables, quotations, pictures, comments and code. */
export function paragraphsOf(markdown: string): Paragraph[] {
  const paragraphs: Paragraph[] = []
  let current: Paragraph | undefined
  let fence: string | undefined
  markdown.split('\n').forEach((text, at) => {
    const mark = FENCE.exec(text)?.[1]
    if (fence !== undefined) {
      if (mark !== undefined && mark.startsWith(fence)) fence = undefined
      return
    }
    fence = mark
    if (text.trim() === '' || mark !== undefined || NO_PROSE.test(text)) return void (current = undefined)
    if (current === undefined || ITEM.test(text)) paragraphs.push((current = { line: at + 1, lines: [] }))
    current.lines.push(text.trim().replace(ITEM, ''))
  })
  return paragraphs
}

/** Sentences of a paragraph, their white space evened out. */
export function sentencesOf({ lines }: Paragraph): string[] {
  return lines
    .join(' ')
    .split(/(?<=[.:?!][)`_*]*) +(?=[A-Z`*_([])/)
    .map((sentence) => sentence.replaceAll(/\s+/g, ' ').trim())
}

/** Words that are written small wherever they stand: the package, formats, and letters of formulas. */
const SMALL_NAME = /^(adasum|\p{L}|\p{L}+\d+)(?![\p{L}\d])/u
const SHORTEST_SENTENCE = 25
const SHORTEST_LINE = 60
const MOST_IN_COMMON = 0.6

/** The share of words that two lines have in common, of the words of the shorter one. */
function inCommon(a: string, b: string): number {
  const [first, second] = [a, b].map((line) => line.split(/\s+/)) as [string[], string[]]
  const shared = first.filter((word) => second.includes(word)).length
  return shared / Math.min(first.length, second.length)
}

/** @returns a line of words for each sign, with the number of the document's line */
export function proseProblemsOf(markdown: string): string[] {
  const paragraphs = paragraphsOf(markdown)
  return [
    ...paragraphs.flatMap((paragraph) => [...endsOf(paragraph), ...similarLinesOf(paragraph)]),
    ...repeatedSentencesOf(paragraphs),
    ...commentsInTextOf(markdown),
  ]
}

function endsOf({ line, lines }: Paragraph): string[] {
  const text = lines.join(' ')
  const problems: string[] = []
  if (/^\p{Ll}/u.test(text) && !SMALL_NAME.test(text))
    problems.push(`line ${line}: a sentence begins in its middle: ${lines[0]}`)
  const isSentence = text.includes('. ') || text.length > 80
  if (isSentence && !/[.:?!][)`_*"]*$/.test(text)) problems.push(`line ${line}: a sentence has no end: ${lines.at(-1)}`)
  return problems
}

function similarLinesOf({ line, lines }: Paragraph): string[] {
  return lines.flatMap((text, i) => {
    const next = lines[i + 1] ?? ''
    const isLong = text.length >= SHORTEST_LINE && next.length >= SHORTEST_LINE
    return isLong && inCommon(text, next) > MOST_IN_COMMON ? [`line ${line + i}: said twice: ${text}`] : []
  })
}

function repeatedSentencesOf(paragraphs: readonly Paragraph[]): string[] {
  const seen = new Set<string>()
  return paragraphs.flatMap((paragraph) =>
    sentencesOf(paragraph).flatMap((sentence) => {
      const isRepeated = sentence.length >= SHORTEST_SENTENCE && seen.has(sentence)
      seen.add(sentence)
      return isRepeated ? [`line ${paragraph.line}: said before: ${sentence}`] : []
    }),
  )
}

/** A comment that marks a block of code stands alone; one that follows words has lost what stood between. */
function commentsInTextOf(markdown: string): string[] {
  const lines = markdown.split('\n')
  return lines.flatMap((text, at) =>
    /^\s*<!--/.test(text) && (lines[at - 1] ?? '').trim() !== '' && !/^\s*<!--/.test(lines[at - 1] ?? '')
      ? [`line ${at + 1}: a comment sticks to the words before it: ${text}`]
      : [],
  )
}
