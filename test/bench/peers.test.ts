/** From the lines that programs print to rows and targets; no peer is needed. */
import test from 'ava'
import { PEERS, casesOf } from '../../bench/peers/programs.mjs'
import { summary, table } from '../../bench/peers/report.mjs'
import { type Row, geometricMean, median, ownRows, peerRows, targetsOf } from '../../bench/peers/rows.mjs'
import { type Line, readLines, runProgram } from '../../bench/peers/run.mjs'

const KEYS = 'peer op n bytes transport ourTransport inPlace p50Us ourP50Us ratio ratioMin ratioMax'.split(' ')

function line(p50Us: number, rest: Partial<Line> = {}): Line {
  return { op: 'sum', n: 2, bytes: 1024, inPlace: false, wrong: 0, p50Us, ...rest }
}

function row(rest: Partial<Row>): Row {
  const place = { peer: 'gloo', op: 'sum', n: 2, bytes: 1024, transport: 'tcp', ourTransport: 'tcp', inPlace: false }
  return { ...place, p50Us: 1, ourP50Us: 1, ratio: 1, ratioMin: 1, ratioMax: 1, ...rest }
}

test('the median of an even number is between the middle two', (t) => {
  t.is(median([3, 1, 2]), 2)
  t.is(median([4, 1, 2, 3]), 2.5)
})

test('lines are read among other words; wrong elements, no time and no lines are failures', (t) => {
  t.deepEqual(readLines(`hello\n${JSON.stringify(line(5))}\n`), [line(5)])
  t.throws(() => readLines(JSON.stringify(line(5, { wrong: 3 }))), { message: /^3 wrong elements/ })
  t.throws(() => readLines(JSON.stringify(line(0))), { message: /^no time/ })
  t.throws(() => readLines('mpirun was unable'), { message: /no case.*\nmpirun was unable/ })
})

test('a program that fails is an error with its words, and the other ranks are ended', async (t) => {
  const code = `if (process.env.PEER_RANK === '1') { console.error('no store'); process.exit(3) } setTimeout(() => {}, 60_000)`
  const begin = performance.now()
  await t.throwsAsync(runProgram({ command: process.execPath, args: ['-e', code], processes: 2 }, 2), {
    message: /exit code 3\nno store/,
  })
  t.true(performance.now() - begin < 30_000)
})

test('a ratio is the median over rounds of theirs by ours, each of one round', (t) => {
  const rounds: [theirs: number, ours: number][] = [
    [200, 100],
    [900, 300],
    [100, 100],
  ]
  const samples = rounds.map(([theirs, ours]) => ({
    peer: 'openmpi',
    transport: 'tcp',
    ourTransport: 'tcp',
    theirs: [line(theirs)],
    ours: [line(7, { inPlace: true }), line(ours)],
  }))
  const rows = peerRows(samples)
  t.deepEqual(Object.keys(rows[0]!), KEYS)
  t.deepEqual(rows, [row({ peer: 'openmpi', p50Us: 200, ourP50Us: 100, ratio: 2, ratioMin: 1, ratioMax: 3 })])
})

test('the best of several algorithms counts, for each case by itself and over all rounds', (t) => {
  const sample = (ring: number, bcube: number, large: number) => ({
    peer: 'gloo',
    transport: 'tcp',
    ourTransport: 'tcp',
    theirs: [
      line(ring, { algorithm: 'ring' }),
      line(bcube, { algorithm: 'bcube' }),
      line(large, { algorithm: 'ring', bytes: 4096 }),
      line(50, { algorithm: 'bcube', bytes: 4096 }),
    ],
    ours: [line(100), line(10, { bytes: 4096 })],
  })
  const rows = peerRows([sample(50, 120, 40), sample(300, 120, 40), sample(300, 120, 40)])
  t.deepEqual(
    rows.map(({ bytes, p50Us, ratio }) => [bytes, p50Us, ratio]),
    [
      [1024, 120, 1.2],
      [4096, 40, 4],
    ],
  )
})

test('the bare exchange stands beside our sum; a case that ours lacks is an error', (t) => {
  const theirs = [line(50, { op: 'exchange' })]
  const sample = { peer: 'exchange', transport: 'tcp', ourTransport: 'tcp', theirs }
  t.is(peerRows([{ ...sample, ours: [line(100)] }])[0]!.ratio, 0.5)
  t.throws(() => peerRows([{ ...sample, ours: [line(1, { n: 4 })] }]), {
    message: /no sum of 1024 bytes, n = 2/,
  })
})

test('our Adasum stands beside our sum, and beside it with one empty round', (t) => {
  const rows = ownRows([[line(20, { op: 'barrier', bytes: 0 }), line(100), line(120, { op: 'adasum' })]])
  t.deepEqual(
    rows.map(({ peer, p50Us, ourP50Us, ratio }) => [peer, p50Us, ourP50Us, ratio]),
    [
      ['adasum-sum', 100, 120, 0.8333],
      ['adasum-sum+round', 120, 120, 1],
    ],
  )
  t.deepEqual(Object.keys(rows[0]!), KEYS)
})

test('targets look at the worst case, at Gloo out of place, and at nothing that was not measured', (t) => {
  const gloo = [row({ ratio: 0.96 }), row({ ratio: 2, n: 4 }), row({ ratio: 0.1, inPlace: true })]
  const own = [
    row({ peer: 'adasum-sum', bytes: 32 << 20, ratio: 0.92 }),
    row({ peer: 'adasum-sum', bytes: 32 << 20, ratio: 0.9, n: 8 }),
    row({ peer: 'adasum-sum+round', bytes: 512 << 10, ratio: 0.96 }),
  ]
  t.deepEqual(
    targetsOf([...gloo, ...own]).map(({ value, isMet }) => [value, isMet]),
    [
      [0.96, true],
      [geometricMean(gloo.slice(0, 2)), true],
      [0.9, false],
      [0.96, true],
      [undefined, false],
      [undefined, false],
      [undefined, false],
      [undefined, false],
      [undefined, false],
    ],
  )
  t.regex(summary(own), /^Gloo was not measured/)
  t.regex(summary([...gloo, ...own]), /2 cases: geometric mean of the ratios 1\.39/)
})

test('targets of shared memory look at rows in which ours uses it, and the other ones do not', (t) => {
  const shared = { ourTransport: 'shared-memory', bytes: 32 << 20 }
  const rows = [
    row({ ...shared, ratio: 3 }),
    row({ ...shared, peer: 'openmpi', transport: 'shm', ratio: 1.9 }),
    row({ ...shared, peer: 'shared-sum', transport: 'shm', ratio: 0.8 }),
    row({ ...shared, peer: 'adasum-sum', bytes: 1024, ratio: 1.1 }),
    row({ peer: 'adasum-sum', bytes: 1024, ratio: 0.5 }),
  ]
  const targets = targetsOf(rows).map(({ value, isMet }) => [value, isMet])
  t.deepEqual(targets.slice(-3), [
    [1.9, false],
    [0.8, true],
    [1.1, true],
  ])
  t.deepEqual(targets.slice(0, 2), [
    [undefined, false],
    [undefined, false],
  ])
})

test('the table is Markdown with a line a row', (t) => {
  const lines = table([row({}), row({ peer: 'torch-gloo', bytes: 32 << 20, inPlace: true })]).split('\n')
  t.is(lines.length, 4)
  t.regex(lines[3]!, /^\| torch-gloo \| sum \| tcp .* 32 MiB \| in place \|/)
  t.is(new Set(lines.map(({ length }) => length)).size, 1)
})

test('peers get as many iterations as adasum bench takes by itself', (t) => {
  t.is(casesOf([1024, 512 << 10, 32 << 20], undefined), '1024:1000,524288:128,33554432:20')
  t.is(casesOf([1024, 2048], 10), '1024:10,2048:10')
})

test('a peer and its transport stand once', (t) => {
  const names = PEERS.map(({ peer, transport, ourTransport }) => `${peer} ${transport} ${ourTransport}`)
  t.deepEqual([...new Set(names)], names)
})
