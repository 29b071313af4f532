// The programs that are measured: how each is built and started, and what it needs of Debian.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installPackages, works } from '../../scripts/lib/debian.mjs'

/**
 * @typedef {import('./run.mjs').Start} Start
 *
 * @typedef {object} Program
 * @property {string} peer
 * @property {string} transport
 * @property {'tcp' | 'shared-memory'} ourTransport of ours beside it
 * @property {string} op
 * @property {string} placements as `adasum bench` takes them: the cases in which ours is measured beside it
 * @property {readonly string[]} packages of Debian
 * @property {() => void} build throws if something is absent
 * @property {(n: number, cases: string) => Start} start `cases` are bytes:iterations, separated by commas
 *
 * @typedef {object} OurCases
 * @property {string} op
 * @property {string} placements
 * @property {readonly number[]} sizes
 * @property {'tcp' | 'shared-memory'} transport
 * @property {number | undefined} [iterations]
 */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const sources = join(root, 'bench', 'peers', 'programs')
const tools = join(root, '.tools', 'peers')
const horovodPython = join(tools, 'horovod', 'bin', 'python')
const OPTIMIZED = ['-O3', '-march=native']
const TCP = ['--mca', 'btl', 'tcp,self', '--mca', 'btl_tcp_if_include', 'lo']
const TORCH_PACKAGES = ['python3-torch', 'python3-numpy']
const MPI_PACKAGES = ['openmpi-bin', 'libopenmpi-dev', 'gcc']

/** @param {string} command @param {string} source @param {readonly string[]} args */
function compile(command, source, args) {
  mkdirSync(tools, { recursive: true })
  const output = join(tools, source.replace(/\.\w+$/, ''))
  const all = [...OPTIMIZED, '-o', output, join(sources, source), ...args]
  execFileSync(command, all, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** A python on PATH may be another than the one that Debian's packages are for. */
function torchPython() {
  const python = ['/usr/bin/python3', 'python3'].find((name) => works(name, ['-c', 'import torch.distributed, numpy']))
  if (python === undefined) throw new Error('no python3 with torch and numpy')
  return python
}

/** @param {number} n @param {readonly string[]} options @param {readonly string[]} command @returns {Start} */
function mpirun(n, options, command) {
  const args = ['-n', String(n), '--oversubscribe', '--bind-to', 'none', '--mca', 'pml', 'ob1', ...options, ...command]
  const isRoot = process.getuid?.() === 0
  const env = isRoot ? { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' } : {}
  return { command: 'mpirun', args, env: { ...env, OMP_NUM_THREADS: '1' } }
}

/**
 * @param {string} transport
 * @param {'tcp' | 'shared-memory'} ourTransport
 * @param {readonly string[]} options
 * @returns {Program}
 */
function openMpi(transport, ourTransport, options) {
  return {
    peer: 'openmpi',
    transport,
    ourTransport,
    op: 'sum',
    placements: 'out,in-place',
    packages: MPI_PACKAGES,
    build: () => compile('mpicc', 'openmpi.c', ['-lm']),
    start: (n, cases) => mpirun(n, options, [join(tools, 'openmpi'), cases]),
  }
}

/** @param {'tcp' | 'shared-memory'} ourTransport @returns {Program} */
function gloo(ourTransport) {
  return {
    peer: 'gloo',
    transport: 'tcp',
    ourTransport,
    op: 'sum',
    placements: 'out,in-place',
    packages: ['libgloo-dev', 'g++'],
    build: () => compile('g++', 'gloo.cc', ['-std=c++17', '-lgloo', '-pthread']),
    start: (n, cases) => ({ command: join(tools, 'gloo'), args: [cases], processes: n }),
  }
}

/** @type {readonly Program[]} */
export const PEERS = [
  gloo('tcp'),
  gloo('shared-memory'),
  openMpi('tcp', 'tcp', TCP),
  openMpi('shm', 'shared-memory', []),
  {
    peer: 'torch-gloo',
    transport: 'tcp',
    ourTransport: 'tcp',
    op: 'sum',
    placements: 'in-place',
    packages: TORCH_PACKAGES,
    build: () => void torchPython(),
    start: (n, cases) => ({ command: torchPython(), args: [join(sources, 'torch_gloo.py'), cases], processes: n }),
  },
  {
    peer: 'horovod',
    transport: 'tcp',
    ourTransport: 'tcp',
    op: 'adasum',
    placements: 'in-place',
    packages: [...TORCH_PACKAGES, ...MPI_PACKAGES, ...'libtorch-dev pybind11-dev python3-dev'.split(' ')].concat(
      'python3-venv cmake make g++'.split(' '),
    ),
    build: requireHorovod,
    start: (n, cases) => mpirun(n, TCP, [horovodPython, join(sources, 'horovod_adasum.py'), cases]),
  },
  {
    peer: 'exchange',
    transport: 'tcp',
    ourTransport: 'tcp',
    op: 'sum',
    placements: 'out',
    packages: ['gcc'],
    build: () => compile('gcc', 'exchange.c', ['-pthread', '-lm']),
    start: (n, cases) => ({ command: join(tools, 'exchange'), args: [cases] }),
  },
  {
    peer: 'shared-sum',
    transport: 'shm',
    ourTransport: 'shared-memory',
    op: 'sum',
    placements: 'out,in-place',
    packages: ['gcc'],
    build: () => compile('gcc', 'shared_sum.c', ['-pthread', '-lm']),
    start: (n, cases) => ({ command: join(tools, 'shared_sum'), args: [cases] }),
  },
  {
    // Our own sum over TCP, beside the one over shared memory.
    peer: 'adasum-sum',
    transport: 'tcp',
    ourTransport: 'shared-memory',
    op: 'sum',
    placements: 'out,in-place',
    packages: [],
    build: () => {},
    start: (n, cases) => {
      const { sizes, iterations } = casesFrom(cases)
      return ours(n, { op: 'sum', placements: 'out,in-place', sizes, iterations, transport: 'tcp' })
    },
  },
]

function requireHorovod() {
  if (!works(horovodPython, ['-c', 'import horovod.torch'])) throw new Error(`no Horovod in ${dirname(horovodPython)}`)
}

/** Horovod comes as source only; two cores compile it in two to four minutes. */
function installHorovod() {
  if (existsSync(horovodPython) && works(horovodPython, ['-c', 'import horovod.torch'])) return
  const env = { ...process.env, HOROVOD_WITH_MPI: '1', HOROVOD_WITH_PYTORCH: '1', HOROVOD_WITHOUT_GLOO: '1' }
  const without = { HOROVOD_WITHOUT_TENSORFLOW: '1', HOROVOD_WITHOUT_MXNET: '1', MAKEFLAGS: '-j2' }
  const run = (/** @type {string} */ command, /** @type {string[]} */ ...args) =>
    execFileSync(command, args, { env: { ...env, ...without }, stdio: ['ignore', 2, 2] })
  run('/usr/bin/python3', '-m', 'venv', '--system-site-packages', join(tools, 'horovod'))
  run(horovodPython, '-m', 'pip', 'install', '--no-build-isolation', '--no-binary=horovod', 'horovod==0.28.1')
}

/** @param {readonly Program[]} programs */
export function install(programs) {
  const packages = [...new Set(programs.flatMap((program) => program.packages))]
  installPackages(packages, () => works('dpkg', ['--status', ...packages]))
  if (programs.some(({ peer }) => peer === 'horovod')) installHorovod()
}

/**
 * @param {number} n
 * @param {OurCases} what
 * @returns {Start}
 */
export function ours(n, { op, placements, sizes, iterations, transport }) {
  const where = ['--transport', transport, '--placement', placements]
  const cases = ['-n', String(n), '--op', op, '--sizes', sizes.join(','), ...where, '--json']
  const count = iterations === undefined ? [] : ['--iterations', String(iterations)]
  return { command: process.execPath, args: [join(root, 'bin', 'adasum.js'), 'bench', ...cases, ...count] }
}

/** As many as `adasum bench` takes by itself. @param {number} byteLength */
const usualIterations = (byteLength) => Math.max(20, Math.min(1000, Math.floor((64 << 20) / byteLength)))

/** @param {readonly number[]} sizes @param {number | undefined} iterations */
export function casesOf(sizes, iterations) {
  return sizes.map((byteLength) => `${byteLength}:${iterations ?? usualIterations(byteLength)}`).join(',')
}

/**
 * What `adasum bench` is to be told for the same cases: nothing of the iterations if they are those it takes by itself.
 *
 * @param {string} cases
 */
function casesFrom(cases) {
  const pairs = cases.split(',').map((text) => text.split(':').map(Number))
  const isUsual = pairs.every(([byteLength = 0, iterations]) => iterations === usualIterations(byteLength))
  return { sizes: pairs.map(([byteLength = 0]) => byteLength), iterations: isUsual ? undefined : pairs[0]?.[1] }
}
