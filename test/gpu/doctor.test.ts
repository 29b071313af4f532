/** `adasum doctor` where there is a device, and what a machine without one is told. */
import { tmpdir } from 'node:os'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import type { Report } from '../../ts/src/cli/doctor/report.ts'
import { adapters } from '../../ts/src/gpu/index.ts'
import { ROOT, compile, runAdasum } from '../cli/_adasum.ts'
import { gpuTest } from './_gpu.ts'

// Without it Mesa's drivers complain on stderr.
const QUIET = { XDG_RUNTIME_DIR: tmpdir() }
/** The loader knows the variable by two names, of which old ones know the second only. */
const NO_DRIVER = { VK_DRIVER_FILES: 'missing', VK_ICD_FILENAMES: 'missing' }

async function doctor(t: ExecutionContext, env: Record<string, string>, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runAdasum(t, ['doctor', ...args], { cwd: ROOT, env: { ...QUIET, ...env } })
  t.deepEqual([exitCode, stderr], [0, ''])
  return stdout
}

const gpuOf = (stdout: string): Pick<Report, 'gpu' | 'problems'> => JSON.parse(stdout) as Report

gpuTest('all adapters with their limits, and which is used', async (t) => {
  compile()
  const found = await adapters()
  const { gpu } = gpuOf(await doctor(t, {}, '--json'))
  t.deepEqual(gpu, { isInstalled: true, adapters: found, used: found.find(({ isDefault }) => isDefault)!.index })
  const last = found.at(-1)!
  const named = gpuOf(await doctor(t, { ADASUM_GPU_ADAPTER: last.name.toUpperCase() }, '--json'))
  t.is(named.gpu.used, found.find(({ name }) => name === last.name)!.index)
  const line = `${last.index}: ${last.name} \\(vulkan, ${last.kind}\\), bindings of \\d+ MiB, buffers of \\d+ MiB`
  const escaped = line.replace(last.name, last.name.replace(/[^\w ]/g, '\\$&'))
  if (process.platform === 'linux') t.regex(await doctor(t, {}), new RegExp(`^gpu +${escaped}`, 'm'))
})

gpuTest('a name that no adapter has', async (t) => {
  compile()
  const { gpu, problems } = gpuOf(await doctor(t, { ADASUM_GPU_ADAPTER: 'abacus' }, '--json'))
  t.is(gpu.used, null)
  const [problem] = problems.filter(({ section }) => section === 'gpu')
  t.regex(problem!.message, /ADASUM_GPU_ADAPTER is abacus, and none of the \d+ adapters has that in its name/)
})

const PROGRAM = `
  import { adasum } from 'adasum'
  import { GpuReducer, adapters } from 'adasum/gpu'
  const code = (call) => call.then(() => 'none', (error) => error.code + ' ' + error.message)
  const gradient = Float32Array.of(1, 2)
  console.log(JSON.stringify({
    adapters: await adapters(),
    created: await code(GpuReducer.create({ slots: 2, segments: 2 })),
    reduced: await code(adasum([gradient], { backend: 'gpu' })),
    auto: (await adasum([gradient], { backend: 'auto' })).result[1],
  }))`

// Other systems find their drivers without the loader's variables.
const linuxTest = process.platform === 'linux' ? gpuTest : test.skip

linuxTest('a machine without an adapter: typed errors, and the CPU instead', async (t) => {
  compile()
  const { gpu, problems } = gpuOf(await doctor(t, NO_DRIVER, '--json'))
  t.deepEqual(gpu, { isInstalled: true, adapters: [], used: null })
  t.regex(problems.find(({ section }) => section === 'gpu')!.message, /finds 0 adapters/)
  const args = ['--no-warnings', '--input-type=module', '--eval', PROGRAM]
  const { stdout } = await execa(process.execPath, args, { cwd: ROOT, env: { ...QUIET, ...NO_DRIVER } })
  const told = JSON.parse(stdout) as Record<string, unknown>
  t.deepEqual([told['adapters'], told['auto']], [[], 2])
  for (const call of ['created', 'reduced'])
    t.regex(String(told[call]), /^ERR_UNSUPPORTED there is no adapter.*0 found/)
})
