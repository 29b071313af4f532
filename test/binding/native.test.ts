import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { ABI } from '../../ts/src/binding/binding.ts'
import { loadBinding, wrapAddon } from '../../ts/src/binding/native.ts'
import { AdasumError } from '../../ts/src/errors.ts'

const DIGEST = fileURLToPath(new URL('_digest.ts', import.meta.url))

async function digestWith(isa: string): Promise<string> {
  const env = { ...process.env, ADASUM_ISA: isa }
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, DIGEST], { env })
  return stdout.trim()
}

test('all instruction sets compute the same bits', async (t) => {
  const digests = []
  for (const isa of loadBinding().isas()) {
    const [used, digest] = (await digestWith(isa)).split(' ')
    t.is(used, isa)
    digests.push(digest)
  }
  t.is(new Set(digests).size, 1, digests.join(', '))
  t.log(`compared: ${loadBinding().isas().join(', ')}`)
})

test('an unknown ADASUM_ISA is refused by name', async (t) => {
  const failure = await t.throwsAsync(digestWith('sse9'))
  t.regex(failure?.message ?? '', /AdasumError \[ERR_ENVIRONMENT\].*"sse9".*scalar/)
})

test('the binding is loaded once', (t) => {
  t.is(loadBinding(), loadBinding())
})

test('a stale addon is refused in one sentence that says what to do', (t) => {
  for (const addon of [{ abi: () => ABI - 1 }, { abi: () => ABI + 1 }, {}]) {
    const error = t.throws(() => wrapAddon(() => addon), { instanceOf: AdasumError, code: 'ERR_BINDING' })
    t.regex(error?.message ?? '', new RegExp(`needs ${ABI}. Build it again: npm run setup`))
  }
})

test('a missing addon is refused with the reason and the remedy', (t) => {
  const cause = new Error('Cannot find module\nRequire stack: ...')
  const load = () => {
    throw cause
  }
  const error = t.throws(() => wrapAddon(load), { instanceOf: AdasumError, code: 'ERR_BINDING' })
  t.regex(error?.message ?? '', /\(it is not there\)\. Build it: npm run setup$/)
  t.is(error?.cause, cause)
})
