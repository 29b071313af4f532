// TensorFlow.js's backend for Node.js, @tensorflow/tfjs-node, built into .tools/tfjs-node. Its own installation downloads a
// compiled addon and TensorFlow's library from places that a machine may not reach, and for few versions of Node.js. Here the
// addon is compiled, against the library and the headers of TensorFlow's package for Python.

import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { completeFolder } from './complete-folder.mjs'
import { installPackages, works } from './debian.mjs'
import { fingerprint } from './fingerprint.mjs'
import { ToolError, runTool } from './tool.mjs'

const RECIPE = ['scripts/tfjs-node', 'scripts/lib/tfjs-node.mjs']
/** What is taken of Python's package: what the addon includes, and what it is linked with, under the names that it asks for. */
const HEADERS = ['tensorflow/c', 'tensorflow/core/platform', 'tensorflow/tsl/platform', 'tsl']
const LIBRARIES = {
  'libtensorflow_cc.so.2': 'libtensorflow.so',
  'libtensorflow_framework.so.2': 'libtensorflow_framework.so',
}
/** The version of Node.js's interface for addons in whose folder @tensorflow/tfjs-node 4.22 looks for its addon. */
const NAPI_VERSION = 8
/** That of the library's package: it is for Python 3.11 on Linux, and never runs there. */
const WHEEL = ['--python-version=3.11', '--implementation=cp', '--abi=cp311', '--platform=manylinux2014_x86_64']

/**
 * @param {string} root
 * @param {(text: string) => void} say
 * @returns {Promise<string>} the folder whose node_modules has @tensorflow/tfjs-node; built unless it is there
 * @throws {ToolError} if something that it takes is missing
 */
export async function tfjsNode(root, say) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    const here = `${process.platform} on ${process.arch}`
    throw new ToolError(`TensorFlow's library is taken for Linux on x86-64, and this is ${here}`)
  }
  const folder = join(root, '.tools', 'tfjs-node')
  const onWait = () => say('another process builds it; waiting')
  const make = (/** @type {string} */ building) => build(root, building, say)
  await completeFolder(folder, fingerprint(root, RECIPE), make, { onWait })
  return folder
}

/**
 * @param {string} root
 * @param {string} building
 * @param {(text: string) => void} say
 */
async function build(root, building, say) {
  installTools()
  const recipe = join(root, 'scripts', 'tfjs-node')
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(recipe, name), join(building, name))
  say('npm ci: TensorFlow.js')
  await run(building, 'npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error')
  const addon = join(building, 'node_modules', '@tensorflow', 'tfjs-node')
  say("pip download: TensorFlow's library, 207 MB")
  await takeLibrary(join(recipe, 'requirements.txt'), join(building, 'wheel'), join(addon, 'deps'))
  say('node-gyp: the addon')
  await compile(building, addon)
  const program = "require('@tensorflow/tfjs-node').ones([2]).sum().dataSync()"
  await run(building, process.execPath, '--eval', program)
}

/** @param {string} cwd @param {string} command @param {string[]} args */
const run = (cwd, command, ...args) => runTool(command, command, args, { cwd, quiet: true })

function installTools() {
  const tools = ['python3 -m pip', 'make', 'g++'].map((tool) => `${tool} --version`.split(' '))
  const areThere = () => tools.every(([command = '', ...args]) => works(command, args))
  installPackages(['python3', 'python3-pip', 'make', 'g++'], areThere)
  installPackages(['libnode-dev'], () => headersPlace() !== undefined)
}

/** @returns {string | undefined} the folder that has Node.js's headers in include/node */
function headersPlace() {
  const places = [dirname(dirname(process.execPath)), '/usr']
  return places.find((place) => existsSync(join(place, 'include', 'node', 'node_api.h')))
}

/**
 * @param {string} requirements the file that names the version and its hash
 * @param {string} wheels folder for what is downloaded
 * @param {string} target
 */
async function takeLibrary(requirements, wheels, target) {
  mkdirSync(wheels)
  const options = ['--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes', ...WHEEL]
  await run(wheels, 'python3', '-m', 'pip', 'download', ...options, '--dest=.', `--requirement=${requirements}`)
  const [wheel = ''] = readdirSync(wheels)
  const headers = HEADERS.map((path) => `tensorflow/include/${path}/`)
  const libraries = Object.keys(LIBRARIES).map((name) => `tensorflow/${name}`)
  await run(wheels, 'python3', '-c', UNPACK, wheel, ...headers, ...libraries)
  mkdirSync(join(target, 'lib'), { recursive: true })
  renameSync(join(wheels, 'tensorflow', 'include'), join(target, 'include'))
  for (const [name, link] of Object.entries(LIBRARIES)) {
    renameSync(join(wheels, 'tensorflow', name), join(target, 'lib', name))
    symlinkSync(name, join(target, 'lib', link))
  }
  rmSync(wheels, { recursive: true })
}

const UNPACK = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(members=[name for name in wheel.namelist() if name.startswith(tuple(sys.argv[2:]))])
`

/**
 * By npm's own node-gyp, which is on the path of a command that npm runs in a package.
 *
 * @param {string} building
 * @param {string} addon folder of the package
 */
async function compile(building, addon) {
  const place = join(addon, 'lib', `napi-v${NAPI_VERSION}`)
  const names = ['--module_name=tfjs_binding', `--module_path=${place}`, `--napi_build_version=${NAPI_VERSION}`]
  const args = ['rebuild', '--silent', `--nodedir=${headersPlace()}`, ...names]
  await run(building, 'npm', 'explore', '@tensorflow/tfjs-node', '--', 'node-gyp', ...args)
  rmSync(join(addon, 'build'), { recursive: true })
}
