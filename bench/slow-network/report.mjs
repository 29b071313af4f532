// What bench/slow-network.mjs prints.

import { markdownTable } from '../lib/markdown-table.mjs'

/**
 * @typedef {import('./rank.mjs').Measured} Measured
 * @typedef {import('./network.mjs').Link & { n: number, op: string, byteLength: number, rounds: number }} Setting
 *
 * @typedef {object} Row
 * @property {string} op
 * @property {number} n
 * @property {number} bytes
 * @property {number} mbits
 * @property {number} delayMs
 * @property {number} lossPercent
 * @property {number} rounds
 * @property {string} compress
 * @property {number} bucketBytes
 * @property {number} p50Ms
 * @property {number} minMs
 * @property {number} maxMs
 * @property {number} faster how many times, by the medians: than the first way that compresses nothing
 * @property {number} bytesSent
 * @property {number} relativeError
 * @property {number} meanRelativeError
 * @property {number} wrong
 */

/** @param {number} value */
const significant = (value) => Number(value.toPrecision(4))

/** @param {readonly number[]} values */
function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

/**
 * @param {readonly Measured[]} measured
 * @param {Setting} setting
 * @returns {Row[]}
 */
export function rowsOf(measured, { n, op, byteLength, rounds, mbits, delayMs, lossPercent }) {
  const plain = measured.find(({ way }) => way.compress === 'none')
  return measured.map(({ way, timesMs, ...rest }) => ({
    ...{ op, n, bytes: byteLength, mbits, delayMs, lossPercent, rounds, ...way },
    p50Ms: significant(medianOf(timesMs)),
    minMs: significant(Math.min(...timesMs)),
    maxMs: significant(Math.max(...timesMs)),
    faster: significant(plain ? medianOf(plain.timesMs) / medianOf(timesMs) : NaN),
    ...rest,
    relativeError: significant(rest.relativeError),
    meanRelativeError: significant(rest.meanRelativeError),
  }))
}

/** @type {readonly [title: string, of: (row: Row) => string][]} */
const COLUMNS = [
  ['n', ({ n }) => String(n)],
  ['op', ({ op }) => op],
  ['compress', ({ compress }) => compress],
  ['buckets', ({ bucketBytes }) => (bucketBytes === 0 ? 'one' : `${bucketBytes / (1 << 20)} MiB`)],
  ['p50 ms', ({ p50Ms }) => String(p50Ms)],
  ['min', ({ minMs }) => String(minMs)],
  ['max', ({ maxMs }) => String(maxMs)],
  ['faster', ({ faster }) => faster.toFixed(2)],
  ['MB sent', ({ bytesSent }) => (bytesSent / 1e6).toFixed(2)],
  ['error', ({ relativeError }) => relativeError.toExponential(1)],
  ['of the mean', ({ meanRelativeError }) => meanRelativeError.toExponential(1)],
]
const TEXT_COLUMNS = ['op', 'compress', 'buckets']

/** @param {readonly Row[]} rows */
export function table(rows) {
  return markdownTable(COLUMNS, TEXT_COLUMNS, rows)
}
