/** Worlds of processes with and without the addon: what computes on each rank, and that it is the same to the bit. */
import { execFileSync } from 'node:child_process'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import anyTest, { type ExecutionContext } from 'ava'
import type { Report } from '../../ts/src/cli/doctor/report.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { ROOT } from '../_user-folder.ts'
import { QUIET } from '../cli/_adasum.ts'
import { type Outcome, copyBuffers, countKernels, installed, none, run, working } from './_installed.ts'

const test = anyTest.serial

test.before(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'all'], { stdio: 'inherit' })
})

/** Every rank prints a line: what it came to, and what has computed. */
const PROGRAM = `
const kinds = process.argv.slice(2)
const kind = kinds[process.env.ADASUM_RANK]
if (kind !== undefined) process.env.ADASUM_BINDING = kind
const { Compressor, connect } = await import('adasum')
const { TUNING, everyCall } = await import('./every-call.mjs')
const comm = await connect({ tuning: TUNING })
const digests = await everyCall(comm, Compressor)
const { rank, transport } = comm
const { binding } = comm.metrics()
console.log(JSON.stringify({ rank, transport, binding: binding?.kind, kernelCalls: globalThis.kernelCalls, digests }))
await comm.close()
`

interface Line {
  rank: number
  transport: string
  binding: string | undefined
  kernelCalls: Partial<Record<'native' | 'wasm', number>> | undefined
  digests: Record<string, string>
}

function withProgram(t: ExecutionContext, addon: (folder: string) => void): string {
  const folder = installed(t, addon)
  writeFileSync(join(folder, 'program.mjs'), PROGRAM)
  cpSync(join(import.meta.dirname, '_every-call.mjs'), join(folder, 'every-call.mjs'))
  return folder
}

/** @param args - of the command, before the program, and of the program */
async function ranks(
  folder: string,
  size: number,
  { args = [], kinds = [], env = {} }: { args?: string[]; kinds?: string[]; env?: Record<string, string> },
): Promise<Outcome & { lines: Line[] }> {
  const command = ['node_modules/adasum/bin/adasum.js', 'run', '-n', `${size}`, ...args]
  const outcome = await run(folder, [...command, 'program.mjs', ...kinds], { ...QUIET, ...env })
  // Behind the prefix of the rank.
  const lines = outcome.stdout
    .split('\n')
    .flatMap((line) => (line.startsWith('[') ? [JSON.parse(line.slice(4)) as Line] : []))
  lines.sort((a, b) => a.rank - b.rank)
  return { ...outcome, lines }
}

/** The ranks' digests, of which each has its own where they differ by what was called. */
const digestsOf = (lines: readonly Line[]): Record<string, string>[] => lines.map(({ digests }) => digests)

test('ranks with the addon and ranks with WebAssembly hold the same bits', async (t) => {
  const folder = withProgram(t, working)
  countKernels(folder)
  const kinds = ['native', 'wasm', 'native', 'wasm']
  const mixed = await ranks(folder, 4, { kinds })
  t.deepEqual([mixed.exitCode, mixed.stderr], [0, ''])
  const native = await ranks(folder, 4, { kinds: kinds.map(() => 'native'), env: { ADASUM_SHARED_MEMORY: '0' } })
  t.deepEqual([native.exitCode, native.stderr], [0, ''])
  t.deepEqual(digestsOf(mixed.lines), digestsOf(native.lines))
  for (const [rank, kind] of kinds.entries()) {
    const { binding, kernelCalls, transport, digests } = mixed.lines[rank]!
    t.is(binding, kind)
    t.deepEqual(Object.keys(kernelCalls ?? {}), [kind], 'the other one has not even been loaded')
    // Only the addon shares memory, and both sides of a pair know it.
    if (HAS_SHARED_MEMORY) t.is(transport, kind === 'wasm' ? 'tcp' : 'mixed')
    for (const [name, digest] of Object.entries(digests))
      if (!name.startsWith('own')) t.true(digest === mixed.lines[0]!.digests[name], name)
  }
  for (const { kernelCalls } of native.lines) t.deepEqual(Object.keys(kernelCalls!), ['native'])
})

test('--no-addons on every rank: WebAssembly computes, over TCP', async (t) => {
  const folder = withProgram(t, working)
  countKernels(folder)
  const without = await ranks(folder, 2, { args: ['--node-option=--no-addons'] })
  t.deepEqual([without.exitCode, without.stderr], [0, ''])
  const native = await ranks(folder, 2, {})
  t.deepEqual(digestsOf(without.lines), digestsOf(native.lines))
  for (const { binding, kernelCalls, transport } of without.lines) {
    t.deepEqual([binding, transport], ['wasm', 'tcp'])
    t.deepEqual(Object.keys(kernelCalls ?? {}), ['wasm'])
  }
  for (const { binding, kernelCalls } of native.lines) {
    t.is(binding, 'native')
    t.deepEqual(Object.keys(kernelCalls ?? {}), ['native'])
  }
})

test('without an addon for the platform: each rank warns once, and computes with WebAssembly', async (t) => {
  const folder = withProgram(t, none)
  const { exitCode, stderr, lines } = await ranks(folder, 2, {})
  t.is(exitCode, 0, stderr)
  t.is(stderr.match(/ADASUM_WASM/g)?.length, 2)
  t.deepEqual(
    lines.map(({ binding, transport }) => [binding, transport]),
    [
      ['wasm', 'tcp'],
      ['wasm', 'tcp'],
    ],
  )
})

test('where WebAssembly was asked for, no memory is shared, and doctor says why', async (t) => {
  const folder = withProgram(t, working)
  const doctor = await run(folder, ['node_modules/adasum/bin/adasum.js', 'doctor', '--json'], {
    ADASUM_BINDING: 'wasm',
  })
  const { ok, binding, sharedMemory, problems } = JSON.parse(doctor.stdout) as Report
  t.true(ok)
  t.is(binding.kind, 'wasm')
  t.false(sharedMemory.isUsable)
  const [problem] = problems.filter(({ section }) => section === 'sharedMemory')
  if (HAS_SHARED_MEMORY) t.regex(problem!.message, /WebAssembly computes here, and only the native addon shares memory/)
})

const sharingTest = HAS_SHARED_MEMORY ? test : test.skip

sharingTest('where buffers are copies ranks use TCP, and doctor says why', async (t) => {
  const folder = withProgram(t, working)
  const want = await ranks(folder, 2, {})
  t.deepEqual(
    want.lines.map(({ transport }) => transport),
    ['shared-memory', 'shared-memory'],
  )
  copyBuffers(folder)
  const { exitCode, stderr, lines } = await ranks(folder, 2, {})
  t.deepEqual([exitCode, stderr], [0, ''])
  t.deepEqual(digestsOf(lines), digestsOf(want.lines))
  for (const { binding, transport } of lines) t.deepEqual([binding, transport], ['native', 'tcp'])
  const doctor = await run(folder, ['node_modules/adasum/bin/adasum.js', 'doctor', '--json'])
  const { ok, sharedMemory, problems } = JSON.parse(doctor.stdout) as Report
  t.deepEqual([ok, sharedMemory.isUsable], [true, false])
  const [problem] = problems.filter(({ section }) => section === 'sharedMemory')
  t.regex(problem!.message, /copies memory that is not its own/)
})
