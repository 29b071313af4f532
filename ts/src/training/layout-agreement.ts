/**
 * Checks that all ranks train the same weights: one number of each rank shows that they differ, a table shows where.
 */
import { AdasumError } from '../errors.ts'
import { fingerprint } from '../optim/fingerprint.ts'
import { weightText, type WeightLayout } from '../optim/weight-layout.ts'
import { type AgreementCall, checkAgreement } from './agreement.ts'

const DTYPES = ['float32', 'int32', 'bool']
/** Dimensions per weight in the table that ranks exchange after a difference was found; TensorFlow.js stops at 6. */
const TABLE_DIMENSIONS = 8

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
      const shown = (of: number): string => rowText(all.subarray(of * table.length).subarray(weight * TABLE_DIMENSIONS))
      const message = `${caller}: weight ${weight} is ${shown(0)} on rank 0 and ${shown(rank)} on rank ${rank}. ${advice}`
      return new AdasumError('ERR_MISMATCH', message, { rank: comm.rank, peerRank: rank })
    }
  }
  return new AdasumError('ERR_MISMATCH', `${caller}: the weights differ between ranks. ${advice}`)
}

function rowText(row: Int32Array): string {
  const shape = [...row.subarray(1, TABLE_DIMENSIONS)].filter((size) => size >= 0)
  return weightText({ shape, dtype: DTYPES[row[0]!] ?? 'unknown' })
}
