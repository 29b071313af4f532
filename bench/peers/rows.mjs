// Makes of what the programs printed the rows of the result, and compares these with the targets.

/**
 * @typedef {import('./run.mjs').Line} Line
 *
 * @typedef {object} Sample one round of one peer, and ours beside it
 * @property {string} peer
 * @property {string} transport the peer's
 * @property {string} ourTransport
 * @property {readonly Line[]} theirs
 * @property {readonly Line[]} ours
 *
 * @typedef {object} Row ratio = peer / ours: above 1, ours is faster
 * @property {string} peer
 * @property {string} op
 * @property {number} n
 * @property {number} bytes
 * @property {string} transport the peer's
 * @property {string} ourTransport
 * @property {boolean} inPlace
 * @property {number} p50Us
 * @property {number} ourP50Us
 * @property {number} ratio
 * @property {number} ratioMin
 * @property {number} ratioMax
 *
 * @typedef {Omit<Row, 'p50Us' | 'ourP50Us' | 'ratio' | 'ratioMin' | 'ratioMax'>} Place
 * @typedef {Place & { algorithm: string, pairs: { p50Us: number, ourP50Us: number }[] }} Group
 */

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (/** @type {number} */ i) => sorted[Math.floor(i)] ?? NaN
  return (at((sorted.length - 1) / 2) + at(sorted.length / 2)) / 2
}

/** Four significant digits. @param {number} value */
const round = (value) => Number(value.toPrecision(4))

/**
 * @param {readonly Sample[]} samples
 * @returns {Row[]} a row a case: of several algorithms, the one with the smallest median counts as the peer's
 */
export function peerRows(samples) {
  /** @type {Map<string, Group>} */
  const best = new Map()
  for (const group of groupsOf(samples.flatMap(pairsOf))) {
    const { peer, op, n, bytes, transport, ourTransport, inPlace } = group
    const key = JSON.stringify([peer, op, n, bytes, transport, ourTransport, inPlace])
    const found = best.get(key)
    if (found === undefined || medianOf(group) < medianOf(found)) best.set(key, group)
  }
  return [...best.values()].map(rowOf)
}

/** @param {Group} group */
const medianOf = ({ pairs }) => median(pairs.map(({ p50Us }) => p50Us))

/** @typedef {Place & { algorithm: string, p50Us: number, ourP50Us: number }} Pair */

/**
 * @param {Sample} sample
 * @returns {Pair[]}
 */
function pairsOf({ peer, transport, ourTransport, theirs, ours }) {
  return theirs.map((line) => {
    // The bare exchange stands beside our sum.
    const op = line.op === 'exchange' ? 'sum' : line.op
    const place = { peer, op, n: line.n, bytes: line.bytes, transport, ourTransport, inPlace: line.inPlace }
    return { ...place, algorithm: line.algorithm ?? '', p50Us: line.p50Us, ourP50Us: find(ours, place).p50Us }
  })
}

/**
 * @param {readonly Line[]} lines
 * @param {{ op: string, n: number, bytes: number, inPlace: boolean }} place
 */
function find(lines, { op, n, bytes, inPlace }) {
  const found = lines.find((line) => line.op === op && line.n === n && line.bytes === bytes && line.inPlace === inPlace)
  if (found === undefined) throw new Error(`adasum bench printed no ${op} of ${bytes} bytes, n = ${n}`)
  return found
}

/**
 * Our Adasum beside our own sum, and beside our sum with one empty round, all of one process.
 *
 * @param {readonly (readonly Line[])[]} runs the lines of a run of `barrier,sum,adasum`
 * @returns {Row[]}
 */
export function ownRows(runs) {
  const pairs = runs.flatMap((lines) =>
    lines
      .filter(({ op }) => op === 'adasum')
      .flatMap((line) => {
        const where = { transport: 'tcp', ourTransport: 'tcp', inPlace: line.inPlace }
        const place = { op: 'adasum', n: line.n, bytes: line.bytes, ...where }
        const sum = find(lines, { ...place, op: 'sum' }).p50Us
        const emptyRound = find(lines, { op: 'barrier', n: line.n, bytes: 0, inPlace: false }).p50Us
        const rest = { ...place, algorithm: '', ourP50Us: line.p50Us }
        return [
          { ...rest, peer: 'adasum-sum', p50Us: sum },
          { ...rest, peer: 'adasum-sum+round', p50Us: sum + emptyRound },
        ]
      }),
  )
  return groupsOf(pairs).map(rowOf)
}

/**
 * @param {readonly Pair[]} pairs
 * @returns {Group[]}
 */
function groupsOf(pairs) {
  /** @type {Map<string, Group>} */
  const groups = new Map()
  for (const { p50Us, ourP50Us, ...place } of pairs) {
    const key = JSON.stringify(Object.entries(place).sort())
    const group = groups.get(key) ?? { ...place, pairs: [] }
    group.pairs.push({ p50Us, ourP50Us })
    groups.set(key, group)
  }
  return [...groups.values()]
}

/**
 * @param {Group} group
 * @returns {Row} keys in the order in which they are printed
 */
function rowOf({ peer, op, n, bytes, transport, ourTransport, inPlace, pairs }) {
  const ratios = pairs.map(({ p50Us, ourP50Us }) => p50Us / ourP50Us)
  return {
    ...{ peer, op, n, bytes, transport, ourTransport, inPlace },
    p50Us: round(median(pairs.map(({ p50Us }) => p50Us))),
    ourP50Us: round(median(pairs.map(({ ourP50Us }) => ourP50Us))),
    ratio: round(median(ratios)),
    ratioMin: round(Math.min(...ratios)),
    ratioMax: round(Math.max(...ratios)),
  }
}

/** @param {readonly Row[]} rows */
export function geometricMean(rows) {
  return Math.exp(rows.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / rows.length)
}

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {number} limit that no ratio, or their geometric mean, may be below
 * @property {number | undefined} value the worst ratio or the mean; undefined: nothing was measured
 * @property {boolean} isMet
 */

const KIB_512 = 512 << 10
const MIB_32 = 32 << 20

/**
 * @param {readonly Row[]} rows
 * @returns {Target[]}
 */
export function targetsOf(rows) {
  const overTcp = rows.filter(({ ourTransport }) => ourTransport === 'tcp')
  const gloo = overTcp.filter(({ peer, op, inPlace }) => peer === 'gloo' && op === 'sum' && !inPlace)
  const own = (/** @type {string} */ name, /** @type {number} */ size, /** @type {boolean} */ where) =>
    overTcp.filter(({ peer, bytes, inPlace }) => peer === name && bytes === size && inPlace === where)
  const perPlacement = [false, true].flatMap((inPlace) => {
    const where = inPlace ? 'in place' : 'into out'
    return [
      worst(`Adasum ${where}, 32 MiB: at most 1.10 x own sum`, own('adasum-sum', MIB_32, inPlace), 1 / 1.1),
      worst(
        `Adasum ${where}, 512 KiB: at most 1.05 x (own sum + one empty round)`,
        own('adasum-sum+round', KIB_512, inPlace),
        1 / 1.05,
      ),
    ]
  })
  const mean = gloo.length === 0 ? undefined : geometricMean(gloo)
  return [
    worst('sum into out: nowhere below 0.95 x Gloo', gloo, 0.95),
    { name: 'sum into out: geometric mean over Gloo at least 1.2', limit: 1.2, value: mean, isMet: (mean ?? 0) >= 1.2 },
    ...perPlacement,
    ...sharedMemoryTargetsOf(rows),
  ]
}

/**
 * @param {readonly Row[]} rows
 * @returns {Target[]}
 */
function sharedMemoryTargetsOf(rows) {
  const beside = (/** @type {readonly string[]} */ names, /** @type {number} */ size) =>
    rows.filter(
      ({ peer, bytes, ourTransport }) => names.includes(peer) && bytes === size && ourTransport === 'shared-memory',
    )
  return [
    worst(
      'shared memory, sum, 32 MiB: at least 2 x the best of Open MPI and Gloo',
      beside(['gloo', 'openmpi'], MIB_32),
      2,
    ),
    worst('shared memory, sum, 32 MiB: at most 1.3 x the plain floor', beside(['shared-sum'], MIB_32), 1 / 1.3),
    worst('shared memory, sum, 1 KiB: no slower than over TCP', beside(['adasum-sum'], 1 << 10), 1),
  ]
}

/**
 * @param {string} name
 * @param {readonly Row[]} rows
 * @param {number} limit
 * @returns {Target}
 */
function worst(name, rows, limit) {
  const value = rows.length === 0 ? undefined : Math.min(...rows.map(({ ratio }) => ratio))
  return { name, limit, value, isMet: (value ?? 0) >= limit }
}
