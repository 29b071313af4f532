// What is printed without --json: a Markdown table, as in docs/performance/peers.md, and a summary.

import { markdownTable } from '../lib/markdown-table.mjs'
import { geometricMean, targetsOf } from './rows.mjs'

/** @typedef {import('./rows.mjs').Row} Row */

/** @type {readonly [title: string, of: (row: Row) => string][]} */
const COLUMNS = [
  ['peer', ({ peer }) => peer],
  ['op', ({ op }) => op],
  ['transport', ({ transport }) => transport],
  ['ours', ({ ourTransport }) => ourTransport],
  ['n', ({ n }) => String(n)],
  ['bytes', ({ bytes }) => sizeOf(bytes)],
  ['place', ({ inPlace }) => (inPlace ? 'in place' : 'out')],
  ['peer ms', ({ p50Us }) => milliseconds(p50Us)],
  ['our ms', ({ ourP50Us }) => milliseconds(ourP50Us)],
  ['ratio', ({ ratio }) => ratio.toFixed(2)],
  ['min', ({ ratioMin }) => ratioMin.toFixed(2)],
  ['max', ({ ratioMax }) => ratioMax.toFixed(2)],
]
const TEXT_COLUMNS = ['peer', 'op', 'transport', 'ours', 'place']

/** @param {number} bytes */
const sizeOf = (bytes) => (bytes >= 1 << 20 ? `${bytes / (1 << 20)} MiB` : `${bytes / 1024} KiB`)

/** @param {number} us */
const milliseconds = (us) => Number((us / 1e3).toPrecision(3)).toString()

/** @param {readonly Row[]} rows */
export function table(rows) {
  return markdownTable(COLUMNS, TEXT_COLUMNS, rows)
}

/** @param {readonly Row[]} rows */
export function summary(rows) {
  const gloo = rows.filter(({ peer, ourTransport, inPlace }) => peer === 'gloo' && ourTransport === 'tcp' && !inPlace)
  const mean =
    gloo.length === 0
      ? 'Gloo was not measured.'
      : `Gloo, sum into out, ${gloo.length} cases: geometric mean of the ratios ${geometricMean(gloo).toFixed(2)}`
  const targets = targetsOf(rows).map(({ name, limit, value, isMet }) => {
    if (value === undefined) return `  not measured  ${name}`
    return `  ${isMet ? 'met         ' : 'not met     '}  ${name}: ratio ${value.toFixed(3)}, needed ${limit.toFixed(3)}`
  })
  return [mean, 'Targets, by the worst case:', ...targets].join('\n')
}
