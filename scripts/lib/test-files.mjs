// Which of ava's test files may run beside another. One that starts processes needs all cores for them: its deadlines are for a
// machine that does nothing else. One that stays in its own process uses one core, and two of them use two.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

const STARTS_PROCESSES = /from '(node:child_process|execa)'/

/**
 * @param {string} root
 * @returns {{ alone: string[], beside: string[] }} paths below `root`
 */
export function testFiles(root) {
  const names = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' }).sort()
  // Those of others lie in test/package once that has been run.
  const files = names.filter((name) => name.endsWith('.test.ts') && !name.includes('node_modules'))
  const paths = files.map((name) => join('test', name))
  const alone = paths.filter((path) => startsProcesses(root, path))
  return { alone, beside: paths.filter((path) => !alone.includes(path)) }
}

/**
 * Itself or through a file of the tests or scripts that it imports; what is tested starts none by itself.
 *
 * @param {string} root
 * @param {string} path
 * @param {Set<string>} [seen]
 * @returns {boolean}
 */
function startsProcesses(root, path, seen = new Set()) {
  seen.add(path)
  const text = readFileSync(join(root, path), 'utf8')
  if (STARTS_PROCESSES.test(text)) return true
  const imported = [...text.matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, name = '']) =>
    normalize(join(dirname(path), name)),
  )
  const ours = imported.filter((name) => !name.startsWith('ts') && existsSync(join(root, name)) && !seen.has(name))
  return ours.some((name) => startsProcesses(root, name, seen))
}
