/** A function of the caller's that differs between processes: all ranks fail with the segment's name, and none hangs. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { ROOT, compile, runAdasum } from '../cli/_adasum.ts'

compile()

const PROGRAM = fileURLToPath(new URL('_coefficients.mjs', import.meta.url))
const WAYS: Record<string, RegExp> = {
  agrees: /sum 3$/,
  differs: /ERR_MISMATCH op\.coefficients of segment (small|large) differ between rank [01] and rank [12]/,
  throws: /ERR_ABORTED .*op\.coefficients of segment (small|large) threw: this rank is odd/,
  'is short': /ERR_ABORTED .*op\.coefficients of segment (small|large) has 1 numbers for 3 inputs/,
}

for (const algorithm of ['direct', 'single-shot'])
  for (const [way, expected] of Object.entries(WAYS))
    test.serial(`${algorithm}: the function of rank 1 ${way}`, async (t) => {
      const { stdout } = await runAdasum(t, ['run', '-n', '3', PROGRAM, way, algorithm], { cwd: ROOT })
      const lines = stdout.trim().split('\n')
      t.is(lines.length, 3, stdout)
      for (const line of lines) t.regex(line, expected)
    })
