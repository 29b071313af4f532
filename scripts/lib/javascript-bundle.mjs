// dist/: the package's JavaScript in few files. Every module costs a process that imports it time and memory when it
// starts, and a world starts many. What `exports` and `imports` of package.json name are files of their own, and so is the
// command; what several of them share lies once in dist/chunks, so that a class is the same class everywhere.
import { readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

const COMMAND = './dist/cli/main.js'

/** @typedef {import('./setup-steps.mjs').Say} Say */

/**
 * The files of dist/ that are imported by name, without their endings.
 *
 * @param {string} root
 * @returns {string[]}
 */
export function entryPoints(root) {
  const { exports, imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const targets = [COMMAND, ...stringsIn(exports), ...stringsIn(imports)]
  const names = targets.flatMap((target) => /^\.\/dist\/(.+)(?<!\.d)\.js$/.exec(target)?.[1] ?? [])
  return [...new Set(names)].toSorted()
}

/**
 * @param {unknown} target of `exports` or `imports`
 * @returns {string[]}
 */
function stringsIn(target) {
  if (typeof target === 'string') return [target]
  return Object.values(target ?? {}).flatMap(stringsIn)
}

/**
 * @param {string} root
 * @param {Say} say
 */
export async function bundleJavaScript(root, say) {
  say('esbuild: JavaScript to dist/')
  const { build } = await import('esbuild')
  removeJavaScript(join(root, 'dist'))
  await build({
    absWorkingDir: root,
    entryPoints: entryPoints(root).map((name) => ({ in: `./ts/src/${name}.ts`, out: name })),
    outdir: 'dist',
    // As deep as most sources, which find the files of the package from where they are.
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2023',
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'error',
    plugins: [{ name: 'packages-stay-outside', setup: leavePackagesOutside }],
  })
}

/**
 * Node.js resolves the names of packages, and the package's own (`#binding`), by its conditions.
 *
 * @param {import('esbuild').PluginBuild} build
 */
function leavePackagesOutside({ onResolve }) {
  onResolve({ filter: /^[^.]/ }, ({ kind, path }) => (kind === 'entry-point' ? undefined : { path, external: true }))
}

/** @param {string} folder */
function removeJavaScript(folder) {
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (file.endsWith('.js')) rmSync(join(folder, file))
}
