/**
 * Checks that all ranks were set up alike, before the first difference becomes a wrong result or a wait without end.
 */
import { AdasumError } from '../errors.ts'
import { ALL_REDUCE_OP_CODES } from '../group/descriptor.ts'
import { checkOperation } from '../reduction/operation.ts'
import type { CallOptions, Operator, ReduceOp } from '../types.ts'
import type { Collectives } from './collectives.ts'

export interface Setting {
  label: string
  /** The value itself, or its index in `choices`. Undefined: this rank does not know it. */
  value: number | undefined
  choices?: readonly string[]
}

export interface AgreementCall {
  comm: Collectives
  /** What was called, for the message: `minimizeAsync()`. */
  caller: string
  /** What to do about a difference. */
  advice: string
  call: CallOptions
}

const OP_NAMES = Object.entries(ALL_REDUCE_OP_CODES)
  .toSorted(([, a], [, b]) => a - b)
  .map(([name]) => name)

/** What ranks must agree on of the operator between them. A function of the caller's is compared by what it gives. */
export function operatorSettings(op: ReduceOp | Operator): Setting[] {
  const { name, parameter } = checkOperation(op)
  return [
    { label: 'op', value: OP_NAMES.indexOf(name), choices: OP_NAMES },
    { label: 'the parameter of op', value: parameter ?? 0 },
  ]
}

/**
 * One all-gather of the values; every rank sees the same table and throws the same error.
 * @throws AdasumError ERR_MISMATCH with the first setting that differs, its two values and their ranks
 */
export async function checkAgreement(settings: readonly Setting[], agreement: AgreementCall): Promise<void> {
  const { comm, caller, advice, call } = agreement
  const mine = Float64Array.from(settings, ({ value }) => value ?? NaN)
  const all = await comm.allGather(mine, call)
  for (const [index, setting] of settings.entries()) {
    const valueOf = (rank: number): number => all[rank * mine.length + index]!
    for (let rank = 1; rank < comm.size; rank++) {
      if (Object.is(valueOf(rank), valueOf(0))) continue
      const [first, other] = [display(setting, valueOf(0)), display(setting, valueOf(rank))]
      const message = `${caller}: ${setting.label} is ${first} on rank 0 and ${other} on rank ${rank}. ${advice}`
      throw new AdasumError('ERR_MISMATCH', message, { rank: comm.rank, peerRank: rank })
    }
  }
}

function display({ choices }: Setting, value: number): string {
  if (Number.isNaN(value)) return 'unknown'
  return choices?.[value] ?? String(value)
}
