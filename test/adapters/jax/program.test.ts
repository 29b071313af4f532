import { fileURLToPath } from 'node:url'
import test from 'ava'
import { compile, ROOT, runAdasum } from '../../cli/_adasum.ts'

interface Line {
  rank: number
  size: number
  first: number
  mean: number
  weights: string
  bias: number
  names: string[]
}

test.before(compile)

test('three processes fit a line: the same weights on all, in a loop of the user’s own', async (t) => {
  const program = fileURLToPath(new URL('_program.mjs', import.meta.url))
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '3', program], { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const lines = [...stdout.matchAll(/\{.*\}/g)].map(([json]) => JSON.parse(json) as Line)
  t.deepEqual(lines.map(({ rank }) => rank).sort(), [0, 1, 2]) // prettier-ignore
  for (const { size, first, mean, weights, bias, names } of lines) {
    t.is(size, 3)
    t.is(weights, lines[0]!.weights)
    t.is(mean, lines[0]!.mean)
    t.true(mean < first / 100, `${first} at first, ${mean} at the end`)
    t.true(Math.abs(bias - 3) < 0.1, String(bias))
    t.deepEqual(names, ['loss'])
  }
})
