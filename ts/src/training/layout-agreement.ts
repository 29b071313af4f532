/**
 * Checks that all ranks train the same weights: one number of each rank shows that they differ, a table shows where.
 */
import { AdasumError } from '../errors.ts'
import { fingerprint } from '../optim/fingerprint.ts'
import { weightText, type WeightLayout } from '../optim/weight-layout.ts'
import { printable } from '../printable.ts'
import type { AgreementCall } from './agreement.ts'

/** Between path and text of a weight in the table. Neither has one: paths quote what is no letter or digit. */
const SEPARATOR = '\t'
/** Characters of a peer's path or shape in a message. */
const LONGEST = 200

/** A weight in the table of one rank; the path is empty where weights go by position. */
interface Row {
  path: string
  text: string
}

/**
 * Compares the layouts of all ranks: the number of weights, every path, shape and dtype.
 * @throws AdasumError ERR_MISMATCH, naming the first difference and its two values, the same on every rank
 */
export async function checkSameLayout(layout: WeightLayout, agreement: AgreementCall): Promise<void> {
  const { comm, call } = agreement
  const table = tableOf(layout)
  const print = fingerprint(wordsOf(table))
  const prints = await comm.allGather(Float64Array.of(print), call)
  // The tables are exchanged only if there is something to find.
  if (prints.some((other) => other !== print)) throw await firstDifference(table, agreement)
}

/** One line a weight, as bytes. */
function tableOf({ weights }: WeightLayout): Uint8Array {
  const lines = weights.map((weight) => `${weight.path ?? ''}${SEPARATOR}${weightText(weight)}`)
  return new TextEncoder().encode(lines.join('\n'))
}

function rowsOf(table: Uint8Array): Row[] {
  if (table.length === 0) return []
  return new TextDecoder()
    .decode(table)
    .split('\n')
    .map((line) => {
      const [path = '', text = ''] = line.split(SEPARATOR)
      return { path: printable(path, LONGEST), text: printable(text, LONGEST) }
    })
}

/** Bytes as words, the last of them filled up with zeros. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(Math.ceil(bytes.length / 4))
  new Uint8Array(words.buffer).set(bytes)
  return words
}

async function firstDifference(table: Uint8Array, { comm, caller, advice, call }: AgreementCall): Promise<AdasumError> {
  const { result, counts } = await comm.allGather(table, { uneven: true, ...call })
  let end = 0
  const tables = counts.map((count) => rowsOf(result.subarray(end, (end += count))))
  const hasPaths = tables.some((rows) => rows.some(({ path }) => path !== ''))
  const differenceOf = hasPaths ? differenceByPath : differenceByPosition
  for (let rank = 1; rank < comm.size; rank++) {
    const difference = differenceOf(tables[0]!, tables[rank]!)
    if (difference === undefined) continue
    const [what, first, other] = difference
    const message = `${caller}: ${what} is ${first} on rank 0 and ${other} on rank ${rank}. ${advice}`
    return new AdasumError('ERR_MISMATCH', message, { rank: comm.rank, peerRank: rank })
  }
  return new AdasumError('ERR_MISMATCH', `${caller}: the weights differ between ranks. ${advice}`)
}

type Difference = [what: string, first: string | number, other: string | number] | undefined

function differenceByPosition(first: readonly Row[], other: readonly Row[]): Difference {
  if (first.length !== other.length) return ['the number of weights', first.length, other.length]
  const index = first.findIndex(({ text }, i) => text !== other[i]!.text)
  return index < 0 ? undefined : [`weight ${index}`, first[index]!.text, other[index]!.text]
}

function differenceByPath(first: readonly Row[], other: readonly Row[]): Difference {
  const [firstTexts, otherTexts] = [first, other].map((rows) => new Map(rows.map(({ path, text }) => [path, text])))
  for (const { path } of [...first, ...other]) {
    const texts = [firstTexts, otherTexts].map((map) => map!.get(path) ?? 'missing') as [string, string]
    if (texts[0] !== texts[1]) return [`leaf ${path}`, ...texts]
  }
  return undefined
}
