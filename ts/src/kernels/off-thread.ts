/** Kernels on libuv's thread pool. */
import { availableParallelism } from 'node:os'
import type { RunTasks } from './run.ts'

const LIMIT = Math.min(2, availableParallelism())
let running = 0
const waiting: (() => void)[] = []

/** Off-thread, at most two tasks at a time in this process, since DNS and files share libuv's four threads. */
export const offThread: RunTasks = async (tasks, binding) => {
  const results = await Promise.allSettled(tasks.map((task) => inTurn(() => task.async(binding))))
  // All have ended, whatever happened: nobody touches the memory any more when the error is seen.
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

async function inTurn(start: () => Promise<void>): Promise<void> {
  if (running >= LIMIT) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    await start()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}
