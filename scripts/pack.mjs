#!/usr/bin/env node
// Packs what is published: the package itself, which has no binary in it, and one package with a native addon for each
// platform whose addon lies in a folder. Prints the tarballs, one a line; the package itself comes last, as it must be published.
//
//   node scripts/pack.mjs [--addons native] [--out packed] [--all]
//
// With --all, an addon that is missing is an error (a release); without, the package names only those that are there.

import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { NapiCli } from '@napi-rs/cli'
import { packedManifest } from './lib/packed-manifest.mjs'
import { addonsIn, missingPlatforms } from './lib/platforms.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { values: options } = parseArgs({
  options: {
    addons: { type: 'string', default: join(root, 'native') },
    out: { type: 'string', default: join(root, 'packed') },
    all: { type: 'boolean', default: false },
  },
})
const LICENCES = ['LICENSE-MIT', 'LICENSE-APACHE']
const out = resolve(options.out)
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/**
 * @param {string} folder with a manifest
 * @returns {string} path of the tarball
 */
function pack(folder) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', out]
  const [{ filename }] = JSON.parse(execFileSync('npm', args, { cwd: folder, encoding: 'utf8' }))
  return join(out, filename)
}

/**
 * @param {string} stage a folder for the package as it will be
 * @param {readonly string[]} platforms
 */
function stageRoot(stage, platforms) {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const [{ files }] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 }))
  for (const { path } of files) {
    mkdirSync(dirname(join(stage, path)), { recursive: true })
    // Keeps the mode: bin/adasum.js is executable.
    cpSync(join(root, path), join(stage, path))
  }
  const packed = packedManifest(manifest, platforms)
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(packed, null, 2)}\n`)
}

/**
 * One folder a platform, made by the tool that also wrote the loader that looks for them.
 *
 * @param {string} stage
 */
async function stagePlatforms(stage) {
  // The tool writes below a manifest only.
  copyFileSync(join(root, 'package.json'), join(stage, 'package.json'))
  await new NapiCli().createNpmDirs({ cwd: stage, npmDir: 'npm' })
  for (const [platform, addon] of addonsIn(resolve(options.addons), manifest.napi.binaryName)) {
    const folder = join(stage, 'npm', platform)
    if (!existsSync(folder)) throw new Error(`${addon} is of no platform that package.json names under napi.targets`)
    copyFileSync(addon, join(folder, `${manifest.napi.binaryName}.${platform}.node`))
    complete(folder)
  }
}

/**
 * What the tool leaves out of a platform's package.
 *
 * @param {string} folder
 */
function complete(folder) {
  const path = join(folder, 'package.json')
  const found = JSON.parse(readFileSync(path, 'utf8'))
  const completed = { ...found, type: 'commonjs', files: [...found.files, ...LICENCES] }
  writeFileSync(path, `${JSON.stringify(completed, null, 2)}\n`)
  for (const licence of LICENCES) copyFileSync(join(root, licence), join(folder, licence))
}

const platforms = addonsIn(resolve(options.addons), manifest.napi.binaryName).map(([platform]) => platform)
const missing = missingPlatforms(manifest.napi.targets, platforms)
if (options.all && missing.length > 0)
  throw new Error(`${missing.length} of ${manifest.napi.targets.length} addons are missing: ${missing.join(', ')}`)

rmSync(out, { recursive: true, force: true })
const stage = join(out, 'stage')
mkdirSync(join(stage, 'adasum'), { recursive: true })
await stagePlatforms(stage)
stageRoot(join(stage, 'adasum'), platforms)
const tarballs = [...platforms.map((platform) => pack(join(stage, 'npm', platform))), pack(join(stage, 'adasum'))]
rmSync(stage, { recursive: true })
console.log(tarballs.join('\n'))
