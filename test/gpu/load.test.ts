/** The package adasum-gpu as it is found: absent, stale, broken, or whole. No GPU is needed. */
import test from 'ava'
import { AdasumError } from '../../ts/src/errors.ts'
import { GPU_ABI } from '../../ts/src/gpu/gpu-binding.ts'
import { wrapGpuAddon } from '../../ts/src/gpu/load.ts'
import { typed } from '../../ts/src/gpu/typed.ts'

function moduleNotFound(name: string): Error {
  return Object.assign(new Error(`Cannot find package '${name}' imported from /somewhere/load.js`), {
    code: 'ERR_MODULE_NOT_FOUND',
  })
}

test('absent: the message names the command that installs it', async (t) => {
  const error = await t.throwsAsync(
    wrapGpuAddon(() => Promise.reject(moduleNotFound('adasum-gpu'))),
    {
      instanceOf: AdasumError,
      code: 'ERR_UNSUPPORTED',
    },
  )
  t.regex(error.message, /npm install adasum-gpu/)
})

test('there, but something that it needs is not', async (t) => {
  const error = await t.throwsAsync(wrapGpuAddon(() => Promise.reject(moduleNotFound('adasum-gpu-linux-x64-gnu'))))
  t.is((error as AdasumError).code, 'ERR_BINDING')
  const broken = await t.throwsAsync(wrapGpuAddon(() => Promise.reject(new Error('libvulkan: no such file\nstack'))))
  t.is((broken as AdasumError).code, 'ERR_BINDING')
  t.regex(broken.message, /\(libvulkan: no such file\)/)
})

test('of another version', async (t) => {
  for (const addon of [{ abi: () => GPU_ABI + 1 }, {}, { default: { abi: () => 0 } }])
    await t.throwsAsync(
      wrapGpuAddon(() => Promise.resolve(addon)),
      { code: 'ERR_BINDING', message: /contract version (\d+|none)/ },
    )
})

test('whole, as an ES module or as CommonJS', async (t) => {
  const addon = { abi: () => GPU_ABI }
  t.is(await wrapGpuAddon(() => Promise.resolve(addon)), addon as never)
  t.is(await wrapGpuAddon(() => Promise.resolve({ default: addon })), addon as never)
})

test('errors of the addon become AdasumErrors with their codes', async (t) => {
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error('words'), { code }))
  for (const code of ['ERR_OUT_OF_MEMORY', 'ERR_DEVICE_LOST', 'ERR_NON_FINITE', 'ERR_UNSUPPORTED', 'ERR_NOT_READY'])
    await t.throwsAsync(typed(failing(code)), { instanceOf: AdasumError, code, message: 'words' })
  await t.throwsAsync(typed(failing('GenericFailure')), { instanceOf: AdasumError, code: 'ERR_BINDING' })
  await t.throwsAsync(
    typed(() => {
      throw new AdasumError('ERR_ARGUMENT', 'own')
    }),
    { code: 'ERR_ARGUMENT', message: 'own' },
  )
})
