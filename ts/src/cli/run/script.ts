/** The script of a run: where it is, and what Node.js needs to run it. */
import { statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CommandError } from '../command-error.ts'

/** @returns its absolute path */
export function resolveScript(script: string): string {
  const path = resolve(script)
  const kind = statSync(path, { throwIfNoEntry: false })
  if (kind === undefined) throw new CommandError(`there is no script ${path}; nothing was started`)
  if (!kind.isFile()) throw new CommandError(`${path} is not a file; nothing was started`)
  return path
}

/** Options with which Node.js runs TypeScript: none if it can by itself, else tsx as installed in the working folder. */
export function loaderOptions(scriptPath: string): string[] {
  if (!/\.([cm]?ts|tsx)$/.test(scriptPath)) return []
  // Newer versions strip types by themselves, but know no JSX.
  const stripsTypes = Boolean((process.features as { typescript?: unknown }).typescript)
  if (stripsTypes && !scriptPath.endsWith('.tsx')) return []
  try {
    const loader = createRequire(resolve('resolved-from-here.js')).resolve('tsx')
    return ['--import', pathToFileURL(loader).href]
  } catch {
    throw new CommandError(
      `${scriptPath} is TypeScript, which Node.js ${process.versions.node} runs only through tsx, and tsx is not ` +
        'installed here: run npm install --save-dev tsx',
    )
  }
}
