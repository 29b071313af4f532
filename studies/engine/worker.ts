/** A process of the pool: runs one cell after the other, as it is told, and ends with its parent. */
import type { Cell, Result } from '../training/cell.ts'
import { emulate } from '../training/emulation.ts'
import { simulated } from '../training/exchange.ts'
import { type Model, makeModel } from '../training/model.ts'
import { train } from '../training/train.ts'

const REPORT_EVERY_MS = 500

/** What a process of the pool says. */
export type Message =
  | { readonly type: 'progress'; readonly progress: number }
  | { readonly type: 'done'; readonly result: Result }
  | { readonly type: 'failed'; readonly message: string }

const models = new Map<string, Promise<Model>>()

process.once('disconnect', () => process.exit(1))
process.on('message', (cell: Cell) => {
  work(cell).then(
    (result) => say({ type: 'done', result }),
    (error: unknown) => say({ type: 'failed', message: error instanceof Error ? `${error.stack}` : String(error) }),
  )
})

function say(message: Message): void {
  process.send!(message)
}

async function work(cell: Cell): Promise<Result> {
  const name = `${cell.model} ${cell.data}`
  if (!models.has(name)) models.set(name, makeModel(cell))
  const model = await models.get(name)!
  let reportedAt = performance.now()
  const report = (progress: number): void => {
    if (performance.now() - reportedAt < REPORT_EVERY_MS) return
    reportedAt = performance.now()
    say({ type: 'progress', progress })
  }
  return cell.task === 'emulation' ? emulate(cell, model, report) : train(cell, model, simulated, report)
}
