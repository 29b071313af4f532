import test from 'ava'
import { apparentBits } from '../../ts/src/wire/secret-strength.ts'
import { ROOT, compile, runAdasum } from './_adasum.ts'

test.before(compile)

test('adasum secret prints another secret each time, strong enough beyond the loopback interface', async (t) => {
  const runs = await Promise.all([0, 1].map(() => runAdasum(t, ['secret'], { cwd: ROOT })))
  for (const { exitCode, stdout, stderr } of runs) {
    t.deepEqual([exitCode, stderr], [0, ''])
    t.regex(stdout, /^[\w-]{43}\n?$/)
    t.true(apparentBits(stdout.trim()) >= 256)
  }
  t.not(runs[0]!.stdout, runs[1]!.stdout)
})
