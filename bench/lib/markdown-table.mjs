/**
 * A Markdown table with a line for each row, as prettier makes it.
 *
 * @template Row
 * @param {readonly (readonly [title: string, of: (row: Row) => string])[]} columns
 * @param {readonly string[]} textColumns titles of those that begin at the left
 * @param {readonly Row[]} rows
 */
export function markdownTable(columns, textColumns, rows) {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, of]) => of(row)))]
  // Three, as prettier makes them.
  const widths = columns.map((_, i) => Math.max(3, ...cells.map((line) => (line[i] ?? '').length)))
  const isText = columns.map(([title]) => textColumns.includes(title))
  const lines = cells.map((line) =>
    line.map((text, i) => (isText[i] ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0))),
  )
  const rule = widths.map((width, i) => (isText[i] ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  const [head = [], ...body] = lines
  return [head, rule, ...body].map((line) => `| ${line.join(' | ')} |`).join('\n')
}
