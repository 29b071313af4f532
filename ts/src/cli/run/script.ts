/** The script of a launch: where it is, and what Node.js needs to run it. */
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

/**
 * Options with which Node.js runs TypeScript: tsx as installed in the working folder, which knows all of the language,
 * else none if this version strips types by itself.
 */
export function loaderOptions(
  scriptPath: string,
  workingFolder: string = process.cwd(),
  stripsTypes: boolean = Boolean((process.features as { typescript?: unknown }).typescript),
): string[] {
  if (!/\.([cm]?ts|tsx)$/.test(scriptPath)) return []
  try {
    const loader = createRequire(resolve(workingFolder, 'resolved-from-here.js')).resolve('tsx')
    return ['--import', pathToFileURL(loader).href]
  } catch {
    // What Node.js strips is types: it knows no JSX.
    if (stripsTypes && !scriptPath.endsWith('.tsx')) return []
    throw new CommandError(
      `${scriptPath} is TypeScript, which Node.js ${process.versions.node} runs only through tsx, and tsx is not ` +
        'installed here: run npm install --save-dev tsx',
    )
  }
}
