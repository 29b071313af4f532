/** Where each weight of a model lies in one flat buffer. Ranks match weights by position, shape and dtype, never by name. */
import { AdasumError } from '../errors.ts'
import { type AgreementCall, checkAgreement } from './agreement.ts'
import { fingerprint } from './fingerprint.ts'

export interface WeightSpec {
  /** For reports and messages of this rank only: names depend on what else a process has built. */
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: string
}

export interface WeightPlace extends WeightSpec {
  /** First element in the flat buffer. */
  readonly offset: number
  readonly elementCount: number
}

export interface WeightLayout {
  readonly weights: readonly WeightPlace[]
  readonly elementCount: number
}

const DTYPES = ['float32', 'int32', 'bool']
/** Dimensions per weight in the table that ranks exchange after a difference was found; TensorFlow.js stops at 6. */
const TABLE_DIMENSIONS = 8

export function weightLayout(specs: readonly WeightSpec[]): WeightLayout {
  let offset = 0
  const weights = specs.map(({ name, shape, dtype }) => {
    const elementCount = shape.reduce((product, size) => product * size, 1)
    const place = { name, shape, dtype, offset, elementCount }
    offset += elementCount
    return place
  })
  return { weights, elementCount: offset }
}

export function describeWeight({ shape, dtype }: Pick<WeightSpec, 'shape' | 'dtype'>): string {
  return `${dtype}[${shape.join(', ')}]`
}

/**
 * Compares the layouts of all ranks: the number of weights, and every shape and dtype.
 * @throws AdasumError ERR_MISMATCH, naming the first difference and its two values
 */
export async function checkSameLayout(layout: WeightLayout, agreement: AgreementCall): Promise<void> {
  const { comm, call } = agreement
  await checkAgreement([{ label: 'the number of weights', value: layout.weights.length }], agreement)
  // Equal counts, so that the tables have equal lengths; they are exchanged only if there is something to find.
  const table = tableOf(layout)
  const print = fingerprint(table)
  const prints = await comm.allGather(Float64Array.of(print), call)
  if (prints.some((other) => other !== print)) throw await firstDifference(table, agreement)
}

function tableOf(layout: WeightLayout): Int32Array {
  const table = new Int32Array(layout.weights.length * TABLE_DIMENSIONS).fill(-1)
  layout.weights.forEach(({ shape, dtype }, index) => {
    const row = table.subarray(index * TABLE_DIMENSIONS, (index + 1) * TABLE_DIMENSIONS)
    row[0] = DTYPES.indexOf(dtype)
    row.set(shape.slice(0, TABLE_DIMENSIONS - 1), 1)
  })
  return table
}

async function firstDifference(table: Int32Array, { comm, caller, advice, call }: AgreementCall): Promise<AdasumError> {
  const all = await comm.allGather(table, call)
  const at = (rank: number, index: number): number => all[rank * table.length + index]!
  for (let rank = 1; rank < comm.size; rank++) {
    for (let index = 0; index < table.length; index++) {
      if (at(rank, index) === at(0, index)) continue
      const weight = Math.floor(index / TABLE_DIMENSIONS)
      const shown = (of: number): string =>
        describeRow(all.subarray(of * table.length).subarray(weight * TABLE_DIMENSIONS))
      const message = `${caller}: weight ${weight} is ${shown(0)} on rank 0 and ${shown(rank)} on rank ${rank}. ${advice}`
      return new AdasumError('ERR_MISMATCH', message, { rank: comm.rank, peerRank: rank })
    }
  }
  return new AdasumError('ERR_MISMATCH', `${caller}: the weights differ between ranks. ${advice}`)
}

function describeRow(row: Int32Array): string {
  const shape = [...row.subarray(1, TABLE_DIMENSIONS)].filter((size) => size >= 0)
  return describeWeight({ shape, dtype: DTYPES[row[0]!] ?? 'unknown' })
}
