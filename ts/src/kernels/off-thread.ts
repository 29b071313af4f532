/** Kernels on libuv's thread pool. */
import { coreCount } from '#platform'
import type { Binding } from '../binding/binding.ts'
import type { PhaseObserver } from '../observe/observer.ts'
import type { Tuning } from '../tuning.ts'
import type { RunTasks } from './run.ts'

/**
 * Whether kernels over `byteLength` bytes of inputs should leave the main thread. WebAssembly has no other thread, no
 * other thread may see the caller's memory, and below the tuning's length handing over costs more than the kernel
 * itself.
 */
export function isOffThread(
  { kind }: Binding,
  memory: 'pool' | 'caller',
  byteLength: number,
  { offThreadByteLength }: Tuning,
): boolean {
  return kind === 'native' && memory === 'pool' && byteLength >= offThreadByteLength
}

const LIMIT = Math.min(2, coreCount())
let running = 0
const waiting: (() => void)[] = []

/** Runs tasks off-thread, at most two at a time in this process, since DNS and files share libuv's four threads. */
export function offThread(observer?: PhaseObserver): RunTasks {
  return async (tasks, binding, phase) => {
    const span = observer?.begin(phase)
    observer?.countOffThread(tasks.length)
    const results = await Promise.allSettled(tasks.map((task) => inTurn(() => task.async(binding))))
    // All tasks have ended before an error is thrown, so nobody touches the memory any more when it is seen.
    for (const result of results) if (result.status === 'rejected') throw result.reason
    if (span) observer!.end(span)
  }
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
