/** All documents that a reader of the repository meets. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../_user-folder.ts'

/** Paths from the root of the repository. */
export function documents(): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(ROOT, folder), { encoding: 'utf8', recursive: true }).map((name) => `${folder}/${name}`)
  const names = [...readdirSync(ROOT, { encoding: 'utf8' }), ...below('docs'), ...below('examples')]
  return names.filter((name) => name.endsWith('.md') && existsSync(join(ROOT, name)))
}
