/** `adasum timeline merge`, and the files that ranks under `adasum run` make. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { folderWith, installPackages } from '../_user-folder.ts'
import { type TraceEvent, problemsOf, readTrace } from '../observe/_trace.ts'
import { compile, runAdasum } from './_adasum.ts'

test.before(compile)

const PROGRAM = `import { connect } from 'adasum'
const comm = await connect()
for (let i = 0; i < 20; i++) await comm.allReduce(new Float32Array(1000), { op: 'adasum' })
await comm.close()
`

test('the ranks of a run make a file each, and merge makes one of them', async (t) => {
  const folder = folderWith(t, {})
  const cwd = folderWith(t, { 'train.mjs': PROGRAM })
  installPackages(cwd)
  const env = { ADASUM_TIMELINE: join(folder, 'trace.json') }
  const run = await runAdasum(t, ['run', '-n', '3', 'train.mjs'], { cwd, env })
  t.is(run.exitCode, 0, run.stderr)
  const files = readdirSync(folder).toSorted()
  t.deepEqual(files, ['trace.0.json', 'trace.1.json', 'trace.2.json'])
  const traces = files.map((file) => readTrace(join(folder, file)))
  traces.forEach((events, rank) => t.deepEqual(problemsOf(events, rank), []))
  // Two as processes leave them that were killed: one of them in the middle of a line.
  for (const [file, more] of [
    [files[1]!, ''],
    [files[2]!, ',\n{"name":"ca'],
  ] as const) {
    const cut = join(folder, file)
    writeFileSync(cut, readFileSync(cut, 'utf8').replace(/\n\]\n$/, more))
  }
  const merged = await runAdasum(t, ['timeline', 'merge', ...files], { cwd: folder })
  t.deepEqual([merged.exitCode, merged.stderr], [0, ''])
  t.deepEqual(JSON.parse(merged.stdout) as TraceEvent[], traces.flat())
})

test('what is no timeline is refused', async (t) => {
  const folder = folderWith(t, {})
  writeFileSync(join(folder, 'a'), '[1]')
  writeFileSync(join(folder, 'b'), '[\n{"x":1}\n]\n')
  for (const [file, message] of [
    ['a', /a is no timeline of adasum/],
    ['b', /b is no timeline of adasum/],
    ['c', /c cannot be read \(ENOENT\)/],
  ] as const) {
    const { exitCode, stdout, stderr } = await runAdasum(t, ['timeline', 'merge', file], { cwd: folder })
    t.deepEqual([exitCode, stdout], [1, ''])
    t.regex(stderr, message)
  }
  t.is((await runAdasum(t, ['timeline', 'merge'], { cwd: folder })).exitCode, 2)
})
