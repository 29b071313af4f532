import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ABI } from '../../ts/src/binding/binding.ts'
import type { Report } from '../../ts/src/cli/doctor/report.ts'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { ROOT } from '../_user-folder.ts'
import { compile, runAdasum } from './_adasum.ts'

test.before(compile)

// Without it Mesa's drivers, where adasum-gpu finds them, complain on stderr.
const QUIET = { XDG_RUNTIME_DIR: tmpdir() }

test('--json has a section for each concern, with what this process sees itself', async (t) => {
  const { exitCode, stdout, stderr } = await runAdasum(t, ['doctor', '--json'], { cwd: ROOT, env: QUIET })
  t.deepEqual([exitCode, stderr], [0, ''])
  const report = JSON.parse(stdout) as Report
  t.deepEqual(Object.keys(report), [
    ...['ok', 'versions', 'machine', 'binding', 'sharedMemory', 'network', 'gpu', 'problems'],
  ])
  t.true(report.ok)
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  t.is(report.versions.adasum, version)
  t.is(report.versions.node, process.versions.node)
  t.is(report.versions.platform, process.platform)
  t.is(report.versions.arch, process.arch)
  t.true(report.machine.cores >= report.machine.availableCores && report.machine.availableCores >= 1)
  t.deepEqual([report.binding.loads, report.binding.abi, report.binding.neededAbi], [true, ABI, ABI])
  t.is(report.binding.isas[0], 'scalar')
  t.true(report.binding.isas.includes(report.binding.isa!))
  t.deepEqual(report.sharedMemory, { isWanted: true, limitBytes: null, isUsable: HAS_SHARED_MEMORY })
  t.true(report.network.loopback.connects)
  t.true(report.problems.every(({ essential }) => !essential))
})

test('for people: a line a concern, and a verdict', async (t) => {
  const { exitCode, stdout, stderr } = await runAdasum(t, ['doctor'], { cwd: ROOT, env: QUIET })
  t.deepEqual([exitCode, stderr], [0, ''])
  for (const name of [
    'adasum',
    'Node.js',
    'platform',
    'processor',
    'memory',
    'binding',
    'shared',
    'addresses',
    'loopback',
    'gpu',
  ])
    t.regex(stdout, new RegExp(`^${name} `, 'm'))
  t.regex(stdout, /\nAll that is essential works\.\n$/)
})

test('a forced instruction set shows', async (t) => {
  const { stdout } = await runAdasum(t, ['doctor', '--json'], { cwd: ROOT, env: { ADASUM_ISA: 'scalar' } })
  t.is((JSON.parse(stdout) as Report).binding.isa, 'scalar')
})

test('whether ranks of this machine may share memory shows, and a setting that is none is essential', async (t) => {
  const doctor = (value: string) =>
    runAdasum(t, ['doctor', '--json'], { cwd: ROOT, env: { ADASUM_SHARED_MEMORY: value } })
  const off = JSON.parse((await doctor('0')).stdout) as Report
  t.deepEqual([off.sharedMemory.isWanted, off.sharedMemory.limitBytes, off.ok], [false, null, true])
  const limited = JSON.parse((await doctor('1000000')).stdout) as Report
  t.deepEqual([limited.sharedMemory.isWanted, limited.sharedMemory.limitBytes], [true, 1_000_000])
  const { exitCode, stdout } = await doctor('lots')
  t.is(exitCode, 1)
  const [problem] = (JSON.parse(stdout) as Report).problems.filter(({ section }) => section === 'sharedMemory')
  t.regex(problem!.message, /ADASUM_SHARED_MEMORY must be 0 .* but it is lots/)
})

test('a binding that does not load: exit code 1, and what to do', async (t) => {
  const env = { ADASUM_ISA: 'abacus' }
  const { exitCode, stdout } = await runAdasum(t, ['doctor', '--json'], { cwd: ROOT, env })
  const report = JSON.parse(stdout) as Report
  t.is(exitCode, 1)
  t.false(report.ok)
  t.deepEqual([report.binding.loads, report.binding.abi, report.binding.isas], [false, null, []])
  const [problem] = report.problems.filter(({ section }) => section === 'binding')
  t.true(problem!.essential)
  t.regex(problem!.message, /abacus/)
  t.regex(problem!.action, /ADASUM_ISA/)
  const forPeople = await runAdasum(t, ['doctor'], { cwd: ROOT, env })
  t.is(forPeople.exitCode, 1)
  t.regex(forPeople.stdout, /^binding +does not load$/m)
  t.regex(forPeople.stdout, /^problem: .*abacus.*\n {2}what to do: .+\nSomething essential does not work\.\n$/m)
})
