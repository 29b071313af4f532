/**
 * The four programs for which the API was designed run as they were written, and one that trains in both ways: see the
 * `_program-*.mjs` beside this file.
 */
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import { adasumSync } from '../../ts/src/index.ts'
import type { SegmentReduction } from '../../ts/src/index.ts'
import { compile, ROOT, runAdasum } from '../cli/_adasum.ts'
import { oracle } from '../reduction/_oracle.ts'

const programAt = (name: string): string => fileURLToPath(new URL(`_program-${name}.mjs`, import.meta.url))

function linesIn<L>(stdout: string): L[] {
  return [...stdout.matchAll(/\{.*\}/g)].map(([json]) => JSON.parse(json) as L)
}

/** What each of two processes prints, in rank order. */
async function onTwo<L extends { rank: number; size: number }>(t: ExecutionContext, name: string): Promise<[L, L]> {
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '2', programAt(name)], { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const lines = linesIn<L>(stdout).sort((a, b) => a.rank - b.rank)
  t.deepEqual(lines.map(({ rank, size }) => [rank, size]), [[0, 2], [1, 2]]) // prettier-ignore
  return lines as [L, L]
}

interface TrainerLine {
  rank: number
  size: number
  epochLosses: number[]
  fitted: string
  losses: number[]
  trained: string
}

interface Place {
  rank: number
  size: number
}

test.before(compile)

test.serial('model.fit', async (t) => {
  const [first, second] = await onTwo<Place & { before: number; after: number; weights: string }>(t, 'fit')
  t.is(first.weights, second.weights)
  t.true(first.after < first.before / 2, `${first.before} before, ${first.after} after`)
})

test.serial('a loop of your own', async (t) => {
  type Line = Place & { initial: string; loss: number; weights: string; segments: SegmentReduction[] }
  const [first, second] = await onTwo<Line>(t, 'loop')
  t.not(first.initial, second.initial)
  t.is(first.weights, second.weights)
  for (const { loss, segments } of [first, second]) {
    t.true(loss > 0 && loss < 1, String(loss))
    t.deepEqual(segments.map(({ elementCount }) => elementCount), [64, 16, 16, 1]) // prettier-ignore
  }
})

test.serial('arrays, any framework', async (t) => {
  type Line = Place & { segments: SegmentReduction[]; result: number[] }
  const inputs = [0, 1].map((rank) => Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i + rank)))
  const want = adasumSync(inputs, { segments: [600, 400] })
  for (const { segments, result } of await onTwo<Line>(t, 'arrays')) {
    t.deepEqual(result, [...want.result])
    t.deepEqual(segments, want.segments)
  }
})

test.serial('no network', async (t) => {
  const { stdout } = await execa(process.execPath, [programAt('local')], { cwd: ROOT })
  const inputs = [[4, 0, 0, 1], [0, 2, 0, 1], [0, 0, 1, 1]].map((values) => Float32Array.from(values)) // prettier-ignore
  const [{ result }] = linesIn<{ result: number[] }>(stdout) as [{ result: number[] }]
  t.deepEqual(result, [...Float32Array.from(oracle('adasum', inputs))])
})

test.serial('three processes: fit and an own loop end with the same weights on all ranks, and learn', async (t) => {
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '3', programAt('trainer')], { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const lines = [...stdout.matchAll(/\{.*\}/g)].map(([json]) => JSON.parse(json) as TrainerLine)
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
