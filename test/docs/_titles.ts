/** The titles of the tests in a file, found in its source: nothing is run for it. */
import ts from 'typescript'

/** `test`, `test.serial`, `linuxTest`, `property`, `eachSize`: whatever is called with a title and a body. */
const MAKES_TESTS = /^(?:\w*[tT]est(?:Alone)?|property|eachSize)(?:\.serial)?$/

/** What stands in a title for a part that differs from run to run, or from case to case. */
export const DIFFERS = '…'

/** @returns the titles, each as it is written, with DIFFERS in place of an expression */
export function titlesOf(source: string): string[] {
  const titles: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && MAKES_TESTS.test(node.expression.getText())) {
      const title = titleOf(node.arguments[0])
      if (title !== undefined && node.arguments.length > 1) titles.push(title)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('tests.ts', source, ts.ScriptTarget.Latest, true))
  return titles
}

function titleOf(node: ts.Expression | undefined): string | undefined {
  if (node === undefined) return undefined
  if (ts.isStringLiteralLike(node)) return node.text
  if (!ts.isTemplateExpression(node)) return undefined
  return node.head.text + node.templateSpans.map(({ literal }) => DIFFERS + literal.text).join('')
}
