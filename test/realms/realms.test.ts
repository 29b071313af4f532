/**
 * Arrays, errors and signals may be of another realm than the library: of a vm context, as test runners make them. What comes
 * out is the same for all realms. Two ranks in one process, over TCP and shared memory, and the local functions.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { Compressor } from '../../ts/src/compressor.ts'
import { AdasumError, reasonOf, systemCode } from '../../ts/src/errors.ts'
import { checkCompressor } from '../../ts/src/reduction/options.ts'
import { dtypeOf } from '../../ts/src/tensor/dtype.ts'
import { ROOT } from '../_user-folder.ts'

test.before(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'all'], { stdio: 'inherit' })
})

type Realm = 'main' | 'context'

async function everyCall(library: Realm, arrays: Realm): Promise<string[]> {
  const program = fileURLToPath(new URL('_every-call.mjs', import.meta.url))
  const args = ['--experimental-vm-modules', '--no-warnings', program, library, arrays]
  const { stdout } = await execa(process.execPath, args, { stderr: 'inherit' })
  return stdout.split('\n')
}

test.serial('every call gives the same, whatever realm the library and its arrays are of', async (t) => {
  const expected = await everyCall('main', 'main')
  t.true(expected.length > 250)
  t.deepEqual(
    expected.filter((line) => /none|undefined/.test(line)),
    [],
  )
  t.true(expected.includes('nobody: ERR_STORE true true'), 'the code of a system error is read')
  for (const [library, arrays] of [
    ['main', 'context'],
    ['context', 'main'],
    ['context', 'context'],
  ] as const)
    // prettier-ignore
    t.deepEqual(await everyCall(library, arrays), expected, `${library} ${arrays}`)
})

test('what an error says and its code, whatever was thrown', (t) => {
  const said = (value: unknown): [string, string | undefined] => [reasonOf(value), systemCode(value)]
  t.deepEqual(said({ message: 'm', code: 'ECONNREFUSED' }), ['m', 'ECONNREFUSED'])
  t.deepEqual(said(new TypeError('t')), ['t', undefined])
  t.deepEqual(said('text'), ['text', undefined])
  t.deepEqual(said(undefined), ['undefined', undefined])
  t.deepEqual(said(null), ['null', undefined])
  t.deepEqual(said(Symbol('s')), ['Symbol(s)', undefined])
  t.deepEqual(said(Object.create(null)), ['object', undefined])
  t.deepEqual(said({ message: 3, code: 4 }), ['object', undefined])
})

test('a compressor is what keeps residuals, and not what has its prototype', (t) => {
  const float = dtypeOf(new Float32Array(0))!
  const compressor = new Compressor({ format: 'int8' })
  t.is(checkCompressor(compressor, 'sum', float), compressor)
  for (const other of [Object.create(Compressor.prototype), {}, 3, null]) {
    const error = t.throws(() => checkCompressor(other, 'sum', float), { instanceOf: AdasumError })
    t.is(error.code, 'ERR_ARGUMENT')
  }
})
