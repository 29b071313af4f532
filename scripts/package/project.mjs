// A user's project: an empty folder on a machine with Node.js, its package managers and a shell, and nothing that compiles.

import { execFile } from 'node:child_process'
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

// A user's npm is not the child of another one, which would hand down the checkout as its project.
const inherited = Object.entries(process.env).filter(
  ([name]) =>
    !/^(npm_(package|lifecycle|command|execpath|node_execpath|config_local_prefix)|INIT_CWD|ADASUM_)/.test(name),
)

/** @param {string} name */
function whereIs(name) {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      return realpathSync(join(folder, name))
    } catch {
      // This folder does not have it.
    }
  }
  throw new Error(`there is no ${name} on PATH`)
}

/**
 * @param {string} folder to be made
 * @param {string} tools a folder whose node_modules have pnpm and yarn
 */
export function makeBin(folder, tools) {
  mkdirSync(folder)
  symlinkSync(process.execPath, join(folder, 'node'))
  for (const name of ['npm', 'npx', 'sh']) symlinkSync(whereIs(name), join(folder, name))
  for (const name of ['pnpm', 'yarn'])
    symlinkSync(realpathSync(join(tools, 'node_modules', '.bin', name)), join(folder, name))
  return folder
}

export class Project {
  /**
   * @param {string} home a folder to be made
   * @param {string} bin all of PATH
   * @param {string} npmrc
   */
  constructor(home, bin, npmrc) {
    this.home = home
    // Caches of its own: a package of the same version from an earlier run must not be found there.
    const cache = join(home, '.cache')
    const caches = { npm_config_cache: cache, YARN_CACHE_FOLDER: cache, XDG_CACHE_HOME: cache, XDG_DATA_HOME: cache }
    this.env = { ...Object.fromEntries(inherited), PATH: bin, ...caches }
    mkdirSync(home, { recursive: true })
    this.write('package.json', '{ "private": true, "type": "module" }\n')
    this.write('.npmrc', `${npmrc}audit=false\nfund=false\n`)
  }

  /** @param {string} name @param {string} content */
  write(name, content) {
    writeFileSync(join(this.home, name), content)
  }

  /**
   * @param {string} command as a user types it
   * @param {{ timeoutMs?: number, env?: Record<string, string> }} [options]
   */
  async run(command, { timeoutMs = 120_000, env = {} } = {}) {
    const options = { cwd: this.home, env: { ...this.env, ...env }, timeout: timeoutMs, maxBuffer: 1 << 26 }
    try {
      return await run('sh', ['-c', command], options)
    } catch (error) {
      const {
        stdout = '',
        stderr = '',
        killed,
      } = /** @type {{ stdout?: string, stderr?: string, killed?: boolean }} */ (error)
      const reason = killed === true ? `not done after ${timeoutMs} ms` : String(error)
      throw new Error(`${command}: ${reason}\n${stdout}${stderr}`, { cause: error })
    }
  }

  /**
   * @param {string} code of an ES module
   * @param {string} [options] for Node.js
   * @param {Record<string, string>} [env]
   */
  node(code, options = '', env = {}) {
    this.write('probe.mjs', code)
    return this.run(`node ${options} probe.mjs`, { env })
  }
}
