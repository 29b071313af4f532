/**
 * One rank of a random program, as a process of its own: `_program-rank.ts <plan as JSON>`. It waits for its parent's word
 * before it begins, and before it closes: whoever leaves while others still need it has failed them.
 */
import { once } from 'node:events'
import { connect } from '../../ts/src/communicator/connect.ts'
import { type Outcome, type Playing, type Step, play } from './_steps.ts'

export interface ProgramPlan extends Playing {
  readonly steps: readonly Step[]
  /** The rank that is struck, and after which step of it has begun. */
  readonly deviant: number
  readonly at: number
}

export interface ProgramReport {
  readonly outcomes: readonly Outcome[]
}

const { steps, deviant, at, ...playing } = JSON.parse(process.argv[2] ?? '') as ProgramPlan

const tell = (message: object): Promise<void> => new Promise((resolve) => process.send!(message, () => resolve()))

async function permission(): Promise<void> {
  await once(process, 'message')
}

const comm = await connect()
const reversed = (await comm.split(0, -comm.rank))!
const begun = (step: number): void => void (comm.rank === deviant && step === at && tell({ type: 'begun' }))
await tell({ type: 'ready' })
await permission()
const outcomes = await play([comm, reversed], steps, { ...playing, begun })
const report: ProgramReport = { outcomes }
await tell({ type: 'report', ...report })
await permission()
await comm.close()
process.disconnect()
