/** `adasum bench --calibrate`: what follows from measurements, and that its last line is one that connect takes. */
import test from 'ava'
import { type Measurement, answer, questionsFor } from '../../ts/src/cli/bench/calibration.ts'
import { connectBy } from '../../ts/src/communicator/connect.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { DEFAULT_TUNING, type Tuning, type TuningName, TUNING_NAMES, resolveTuning } from '../../ts/src/tuning.ts'
import { fc } from '../_property.ts'
import { ROOT, compile, runAdasum } from './_adasum.ts'

test.before(compile)

function questionOf(size: number, name: TuningName) {
  return questionsFor(size).find(({ decides }) => decides.includes(name))!
}

/** Measurements of a question on a machine on which each way takes as long as `costOf` says. */
function measured(
  size: number,
  name: TuningName,
  costOf: (way: number, n: number, byteLength: number) => number,
): Measurement[] {
  const { worldSizes, byteLengths, ways } = questionOf(size, name)
  return worldSizes.flatMap((n) =>
    byteLengths.map((byteLength) => ({ n, byteLength, p50Us: ways.map((_, way) => costOf(way, n, byteLength)) })),
  )
}

const answerOf = (size: number, name: TuningName, costOf: (way: number, n: number, byteLength: number) => number) =>
  answer(questionOf(size, name), measured(size, name, costOf))

/** What it decides depends on the network between machines. */
const MEASURED_NAMES = TUNING_NAMES.filter((name) => name !== 'connectionsPerPeer')

test('every value is decided by one question; two ranks have fewer', (t) => {
  t.deepEqual(
    questionsFor(3)
      .flatMap(({ decides }) => decides)
      .toSorted(),
    MEASURED_NAMES.toSorted(),
  )
  t.deepEqual(
    questionsFor(2).map(({ decides }) => decides),
    [['streamByteLength'], ['writeByteLength']],
  )
  t.deepEqual(questionOf(5, 'directSize').worldSizes, [3, 4, 5])
  t.is(Math.max(...questionOf(64, 'directSize').worldSizes), 16)
  t.deepEqual(questionOf(64, 'scatterByteLength').worldSizes, [64])
})

test('every way of every question is a tuning', (t) => {
  for (const { tuning } of questionsFor(20).flatMap(({ ways }) => ways))
    t.deepEqual(resolveTuning(tuning, undefined), { ...DEFAULT_TUNING, ...tuning })
})

test('differences within the noise keep the defaults', (t) => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.double({ min: 1, max: 1.049, noNaN: true })), (noise) => {
      for (const question of questionsFor(6)) {
        const found = answer(
          question,
          measured(6, question.decides[0]!, () => 1000 * noise.next().value!),
        )
        t.deepEqual({ ...DEFAULT_TUNING, ...found }, DEFAULT_TUNING)
      }
    }),
  )
})

for (const name of ['streamByteLength', 'scatterByteLength', 'offThreadByteLength'] as const)
  test(`${name}: the first length at which the second way is faster`, (t) => {
    const { byteLengths } = questionOf(4, name)
    for (const threshold of byteLengths) {
      // A trip that pays from a length on.
      const costOf = (way: number, _: number, byteLength: number) =>
        way === 0 ? byteLength : threshold / 2 + byteLength / 3
      const found = answerOf(4, name, costOf)[name]!
      t.is(
        found,
        byteLengths.find((byteLength) => byteLength > (threshold * 3) / 4)!,
      )
    }
    t.is(answerOf(4, name, (way) => 1 + way)[name], 2 * byteLengths.at(-1)!)
    t.is(answerOf(4, name, (way) => 2 - way)[name], byteLengths[0]!)
  })

test('a single outlier does not move a threshold', (t) => {
  const name = 'streamByteLength'
  const costOf = (way: number, _: number, byteLength: number): number => {
    const isFaster = way === (byteLength >= DEFAULT_TUNING[name] ? 1 : 0)
    if (byteLength === 4 << 20) return isFaster ? 150 : 100
    return isFaster ? 100 : 200
  }
  t.is(answerOf(2, name, costOf)[name], DEFAULT_TUNING[name])
})

test('direct: world size and length together, and no further than measured', (t) => {
  const upTo = (size: number, length: number) => (way: number, n: number, byteLength: number) =>
    way === (n <= size && byteLength <= length ? 0 : 1) ? 100 : 130
  t.deepEqual(answerOf(8, 'directSize', upTo(8, 32 << 10)), { directSize: 8, directByteLength: 32 << 10 })
  t.deepEqual(answerOf(8, 'directSize', upTo(5, 128 << 10)), { directSize: 5, directByteLength: 128 << 10 })
  t.deepEqual(answerOf(12, 'directSize', upTo(11, 16 << 10)), { directSize: 11, directByteLength: 16 << 10 })
  t.deepEqual(answerOf(4, 'directSize', upTo(4, 16 << 10)), { directSize: 8, directByteLength: 16 << 10 })
  t.deepEqual(answerOf(4, 'directSize', upTo(4, 64 << 10)), { directSize: 4, directByteLength: 64 << 10 })
  const never = answerOf(4, 'directSize', upTo(2, 0))
  t.true(never.directSize === 2 || never.directByteLength! < 8 << 10, JSON.stringify(never))
})

test('writes: the size that is faster than the default', (t) => {
  const { ways } = questionOf(2, 'writeByteLength')
  for (const [best, { tuning }] of ways.entries())
    t.deepEqual(
      answerOf(2, 'writeByteLength', (way) => (way === best ? 90 : 100)),
      tuning,
    )
})

test('three ranks calibrate, and connect takes the line at the end', async (t) => {
  const args = ['bench', '-n', '3', '--calibrate', '--seconds', '1']
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const variable = /^ADASUM_TUNING=(\S+)$/.exec(stdout.trimEnd().split('\n').at(-1)!)?.[1]
  const comm = await connectBy({ transport: createMemoryTransport() }, {}, { ADASUM_TUNING: variable })
  t.deepEqual(comm.tuning, resolveTuning(undefined, variable))
  await comm.close()
  for (const name of MEASURED_NAMES) t.regex(stdout, new RegExp(`^# .*${name}.*: `, 'm'))
})

test('--json prints a line a case, and the tuning', async (t) => {
  const args = ['bench', '-n', '2', '--calibrate', '--seconds', '1', '--json']
  // What the environment has is not what is measured.
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env: { ADASUM_TUNING: 'directSize=3' } })
  t.is(exitCode, 0, stderr)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const { tuning } = lines.pop() as { tuning: Tuning }
  t.deepEqual(resolveTuning(tuning, undefined), tuning)
  t.is(tuning.directSize, DEFAULT_TUNING.directSize)
  t.is(lines.length, 7)
  for (const line of lines) {
    t.deepEqual(Object.keys(line), ['decides', 'op', 'n', 'bytes', 'transport', 'rounds', 'p50Us'])
    t.true(Object.values(line['p50Us'] as Record<string, number>).every((median) => median > 0))
  }
})

const REFUSED: [args: string[], message: RegExp][] = [
  [['--calibrate', '--sizes', '1KiB'], /^adasum bench: --calibrate chooses its own cases: leave out --sizes\n$/],
  [['--calibrate', '--iterations', '5'], /leave out --iterations/],
  [['--calibrate', '-n', '1'], /-n 1 leaves --calibrate nothing to measure/],
  [['--seconds', '5'], /--seconds is for --calibrate/],
  [['--calibrate', '--seconds', '0'], /whole number from 1 to 120/],
  [['--checksums', '--transport', 'shared-memory'], /--checksums is for connections over TCP: leave out/],
  [['--tls', '--transport', 'shared-memory'], /--tls is for connections over TCP: leave out --transport shared-memory/],
]
for (const [args, message] of REFUSED)
  test(`one line and exit code 2: ${args.join(' ')}`, async (t) => {
    const { exitCode, stderr } = await runAdasum(t, ['bench', ...args], { cwd: ROOT })
    t.is(exitCode, 2)
    t.regex(stderr, message)
  })
