import test from 'ava'
import { HAS_SHARED_MEMORY } from '../../ts/src/shared-memory/shared-memory.ts'
import { parseSize, planCases } from '../../ts/src/cli/bench/cases.ts'
import { reduceByDefinition } from '../../ts/src/cli/bench/reference.ts'
import { resultOf } from '../../ts/src/cli/bench/result.ts'
import { ROOT, compile, runAdasum } from './_adasum.ts'

test.before(compile)

const KEYS = 'op dtype n bytes transport schedule inPlace minUs p50Us p99Us algbwGBps busbwGBps wrong'.split(' ')

test('sizes are bytes in whole elements of every dtype', (t) => {
  t.is(parseSize('1KiB'), 1024)
  t.is(parseSize('32MiB'), 32 << 20)
  t.is(parseSize('1.5MB'), 1_500_000)
  t.is(parseSize('8'), 8)
  for (const text of ['', '0', '4', '12', '1PiB', '-8', '1e3', '9GiB', 'KiB', '0x10'])
    t.throws(() => parseSize(text), { message: /--sizes/ })
})

test('cases are the cross product of the lists', (t) => {
  const options = { ranks: 2, op: 'sum,adasum', dtype: 'f32,f64', sizes: '8,16,24', placement: 'out,in-place' }
  t.is(planCases(options).length, 24)
  t.throws(() => planCases({ ...options, op: 'median' }), {
    message: /--op median.*sum, average, adasum, min, max, barrier/,
  })
  t.is(planCases({ ...options, sizes: '8, 16' }).length, 16)
  for (const sizes of ['', ',', '8,', ',:', '8,,16'])
    t.throws(() => planCases({ ...options, sizes }), {
      message: `--sizes "${sizes}" has an empty item: put one comma between two items, and none elsewhere`,
    })
  t.throws(() => planCases({ ...options, op: 'sum,' }), { message: /^--op "sum," has an empty item/ })
})

test('an empty round is measured once, before all else', (t) => {
  const options = { ranks: 2, op: 'sum,barrier', dtype: 'f32,f64', sizes: '8,16', placement: 'out,in-place' }
  const [first, ...rest] = planCases(options)
  t.deepEqual(first, { op: 'barrier', dtype: 'f32', byteLength: 0, inPlace: false })
  t.deepEqual(rest, planCases({ ...options, op: 'sum' }))
})

test('integers are not averaged', (t) => {
  const options = { ranks: 2, op: 'sum,min,max', dtype: 'u8,i32,u32,i64,u64', sizes: '8', placement: 'out' }
  t.is(planCases(options).length, 15)
  for (const op of ['average', 'adasum'])
    t.throws(() => planCases({ ...options, op, dtype: 'f32,u8' }), {
      message: `--op ${op} does not combine u8: integers take sum, min and max`,
    })
})

test('the reference folds by definition: integer sums wrap', (t) => {
  const two = <A>(array: { of: (...values: never[]) => A }, a: unknown, b: unknown) =>
    [array.of(a as never), array.of(b as never)] as never
  t.is(reduceByDefinition('sum', two(Uint8Array, 200, 100))[0], 44)
  t.is(reduceByDefinition('sum', two(Int32Array, 2 ** 31 - 1, 1))[0], -(2 ** 31))
  t.is(reduceByDefinition('sum', two(BigUint64Array, 2n ** 64n - 1n, 3n))[0], 2n)
  t.is(reduceByDefinition('min', two(BigInt64Array, 5n, -5n))[0], -5n)
  t.is(reduceByDefinition('max', two(Uint32Array, 2 ** 31, 7))[0], 2 ** 31)
  t.is(reduceByDefinition('min', two(Float64Array, 0.5, -0.5))[0], -0.5)
})

test('bandwidths follow from the median', (t) => {
  const place = {
    op: 'sum',
    dtype: 'f32' as const,
    n: 4,
    bytes: 1e6,
    transport: 'tcp',
    schedule: 'direct',
    inPlace: false,
    wrong: 0,
  }
  const result = resultOf(place, Float64Array.of(400, 100, 500, 300, 200))
  t.is(result.minUs, 100)
  t.is(result.p50Us, 300)
  t.is(result.p99Us, 500)
  t.is(result.algbwGBps, 3.333)
  t.is(result.busbwGBps, 5)
})

test('adasum bench prints a JSON line a case, and every result is right', async (t) => {
  const args = ['bench', '-n', '3', '--sizes', '1KiB,64KiB', '--dtype', 'f32,f64', '--iterations', '1', '--json']
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  t.is(lines.length, 24)
  for (const line of lines) {
    t.deepEqual(Object.keys(line), KEYS)
    t.is(line['wrong'], 0)
    t.true((line['minUs'] as number) > 0 && (line['minUs'] as number) <= (line['p50Us'] as number))
  }
  t.deepEqual(new Set(lines.map((line) => line['schedule'])), new Set(['direct', 'single-shot']))
})

test.serial('adasum bench goes the way that it is told, and says which it was', async (t) => {
  for (const transport of HAS_SHARED_MEMORY ? ['tcp', 'shared-memory'] : ['tcp'])
    for (const memory of ['allocated', 'heap']) {
      const args = ['bench', '-n', '3', '--transport', transport, '--memory', memory, '--op', 'sum']
      const { exitCode, stdout, stderr } = await runAdasum(
        t,
        [...args, '--sizes', '2MiB', '--iterations', '1', '--json'],
        {
          cwd: ROOT,
        },
      )
      t.is(exitCode, 0, stderr)
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      t.is(lines.length, 2)
      for (const line of lines) t.deepEqual([line['transport'], line['wrong']], [transport, 0])
    }
})

test('adasum bench folds integers and floats, and every result is right', async (t) => {
  const list = [
    '--op',
    'sum,min,max',
    '--dtype',
    'f32,f64,u8,i32,u32,i64,u64',
    '--sizes',
    '512,64KiB',
    '--placement',
    'out',
  ]
  const { exitCode, stdout, stderr } = await runAdasum(t, ['bench', '-n', '3', '--iterations', '1', ...list], {
    cwd: ROOT,
  })
  t.is(exitCode, 0, stderr)
  const rows = stdout.trim().split('\n').slice(2)
  t.is(rows.length, 42)
  const [counts, wrong] = [
    rows.map((row) => row.trim().split(/ +/)[1]),
    rows.map((row) => row.trim().split(/ +/).at(-1)),
  ]
  t.deepEqual(new Set(counts), new Set(['128', '16384', '64', '8192', '512', '65536']))
  t.deepEqual(new Set(wrong), new Set(['0']))
})

test('adasum bench says what computes', async (t) => {
  for (const [kind, heading] of [
    ['native', /^# all-reduce, 2 ranks, tcp, native \((avx|scalar|neon)/],
    ['wasm', /^# all-reduce, 2 ranks, tcp, WebAssembly \(simd128\); GB/],
  ] as const) {
    const args = ['bench', '-n', '2', '--transport', 'tcp', '--op', 'adasum', '--sizes', '64KiB', '--iterations', '1']
    const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env: { ADASUM_BINDING: kind } })
    t.is(exitCode, 0, stderr)
    t.regex(stdout, heading)
  }
})

test('adasum bench times an empty round', async (t) => {
  const args = ['bench', '-n', '2', '--op', 'barrier', '--iterations', '3', '--json']
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const line = JSON.parse(stdout) as Record<string, unknown>
  t.deepEqual(Object.keys(line), KEYS)
  t.deepEqual([line['op'], line['bytes'], line['busbwGBps'], line['wrong']], ['barrier', 0, 0, 0])
  t.true((line['p50Us'] as number) > 0)
})

test('adasum bench --compress tells what it costs', async (t) => {
  const list = ['--sizes', '1MiB', '--compress', 'none,bf16,int8', '--placement', 'out']
  const args = ['bench', '-n', '3', '--iterations', '1', ...list]
  const { exitCode, stdout, stderr } = await runAdasum(t, [...args, '--op', 'sum,adasum', '--json'], { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  t.is(lines.length, 6)
  for (const [i, line] of lines.entries()) {
    const compress = [undefined, 'bf16', 'int8'][i % 3]
    t.deepEqual(Object.keys(line), compress === undefined ? KEYS : [...KEYS, 'compress', 'relativeError'])
    t.is(line['compress'], compress)
    t.is(line['wrong'], 0)
    const error = line['relativeError'] as number
    if (compress !== undefined) t.true(error > 1e-4 && error < 0.05, `${error}`)
  }
  const table = await runAdasum(t, [...args, '--op', 'sum'], { cwd: ROOT })
  t.regex(table.stdout, /#wrong compress +error\n/)
  t.regex(table.stdout, / 0 +none +0\n.* 0 +bf16 +0\.\d+\n/)
})

test('only floats that are added up are compressed', (t) => {
  const options = { ranks: 2, op: 'sum', dtype: 'f32', sizes: '8', placement: 'out' }
  t.is(planCases({ ...options, compress: 'none,int8' }).length, 2)
  t.throws(() => planCases({ ...options, dtype: 'f64', compress: 'int8' }), {
    message: /^--compress int8 does not go with sum of f64/,
  })
  t.throws(() => planCases({ ...options, op: 'max', compress: 'f16' }), { message: /does not go with max of f32/ })
  t.throws(() => planCases({ ...options, compress: 'int4' }), {
    message: '--compress int4 is unknown; there are none, f16, bf16, int8',
  })
})

test('a wrong size is one line and exit code 2', async (t) => {
  const { exitCode, stderr } = await runAdasum(t, ['bench', '--sizes', 'big'], { cwd: ROOT })
  t.is(exitCode, 2)
  t.regex(stderr, /^adasum bench: --sizes big is not a size.*\n$/)
})
