/** The rule against `instanceof` on what may be of another realm: see eslint.config.js. */
import test from 'ava'
import { ESLint, Linter } from 'eslint'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const RULE = 'no-restricted-syntax'

/** What the rule says of an expression in a file of the library. */
async function complaints(code: string, file = 'ts/src/group/outbox.ts'): Promise<string[]> {
  const config = (await new ESLint({ cwd: ROOT }).calculateConfigForFile(file)) as { rules: Linter.RulesRecord }
  const rule = config.rules[RULE]
  if (rule === undefined) return []
  const messages = new Linter().verify(code, [{ rules: { [RULE]: rule } }])
  return messages.map(({ message }) => message)
}

const OUTSIDE = ['Uint8Array', 'ArrayBuffer', 'Error', 'RangeError', 'Promise', 'AbortSignal', 'Map', 'net.Socket', 'Compressor', 'GpuReducer', 'given', 'globalThis.Array'] // prettier-ignore
for (const name of OUTSIDE)
  test(`a made-up violation is noticed: ${name}`, async (t) => {
    for (const code of [`value instanceof ${name}`, `if (!(value instanceof ${name})) f()`]) {
      const [message, ...more] = await complaints(code)
      t.deepEqual(more, [])
      t.regex(message ?? 'nothing', /another realm/)
    }
  })

test('our own classes of errors may be asked for, and classes that decide for themselves', async (t) => {
  for (const name of [
    'AdasumError',
    'AgreedFailure',
    'failure.AgreedFailure',
    'PipeEnded',
    'CommandError',
    'tf.Tensor',
    'jax.Array',
  ])
    t.deepEqual(await complaints(`value instanceof ${name}`), [], name)
})

test('the rule is for the library', async (t) => {
  t.deepEqual(await complaints('value instanceof Uint8Array', 'test/errors.test.ts'), [])
  for (const file of ['ts/src/errors.ts', 'ts/src/cli/run/plan.ts', 'ts/src/adapters/tfjs/variables.ts'])
    t.is((await complaints('value instanceof Uint8Array', file)).length, 1, file)
})
