import { fileURLToPath } from 'node:url'
import test from 'ava'
import { compile, ROOT, runAdasum } from '../cli/_adasum.ts'

interface Line {
  rank: number
  size: number
  epochLosses: number[]
  fitted: string
  losses: number[]
  trained: string
}

const TRAINER = fileURLToPath(new URL('_trainer.mjs', import.meta.url))

test.before(compile)

test.serial('three processes: fit and an own loop end with the same weights on all ranks, and learn', async (t) => {
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '3', TRAINER], { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const lines = [...stdout.matchAll(/\{.*\}/g)].map(([json]) => JSON.parse(json) as Line)
  t.deepEqual(lines.map(({ rank }) => rank).sort(), [0, 1, 2]) // prettier-ignore
  for (const { size, epochLosses, fitted, trained } of lines) {
    t.is(size, 3)
    t.is(fitted, lines[0]!.fitted)
    t.is(trained, lines[0]!.trained)
    t.deepEqual(epochLosses, lines[0]!.epochLosses)
  }
  t.not(lines[0]!.fitted, lines[0]!.trained)
  const { epochLosses, losses } = lines[0]!
  t.true(epochLosses[2]! < epochLosses[0]! / 2, epochLosses.join())
  t.true(losses.every((loss) => Number.isFinite(loss)))
})
