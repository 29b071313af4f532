// A registry of npm packages on this machine, for the time of a test: it has what is published to it, and passes everything
// else on to the registry that npm is set to use.

import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * @typedef {object} Registry
 * @property {string} npmrc what a project's .npmrc must say to use it
 * @property {(tarball: string) => Promise<void>} publish
 * @property {() => Promise<void>} close
 */

/**
 * @param {string} tools a folder whose node_modules have verdaccio
 * @param {string} scratch an empty folder
 * @returns {Promise<Registry>}
 */
export async function startRegistry(tools, scratch) {
  const { runServer } = createRequire(join(tools, 'package.json'))('verdaccio')
  const { stdout: upstream } = await run('npm', ['config', 'get', 'registry'], { cwd: scratch })
  const server = await runServer({
    configPath: join(scratch, 'verdaccio.yaml'),
    self_path: scratch,
    storage: join(scratch, 'storage'),
    uplinks: { upstream: { url: upstream.trim(), timeout: '60s' } },
    packages: {
      adasum: { access: '$all', publish: '$all' },
      'adasum-*': { access: '$all', publish: '$all' },
      '@*/*': { access: '$all', proxy: 'upstream' },
      '**': { access: '$all', proxy: 'upstream' },
    },
    max_body_size: '50mb',
    log: { type: 'stdout', format: 'pretty', level: 'fatal' },
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const host = `127.0.0.1:${server.address().port}/`
  // Publishing is open to all, but npm does not try without a token.
  const npmrc = `registry=http://${host}\n//${host}:_authToken=none\n`
  writeFileSync(join(scratch, '.npmrc'), npmrc)
  const publish = async (/** @type {string} */ tarball) =>
    void (await run('npm', ['publish', tarball, '--ignore-scripts', '--loglevel=error'], { cwd: scratch }))
  const close = async () => {
    const closed = new Promise((resolve) => server.close(() => resolve(undefined)))
    server.closeAllConnections()
    await closed
  }
  return { npmrc, publish, close }
}
