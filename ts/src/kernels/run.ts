/**
 * What drives the body of a reduction: on this thread at once, on this thread in turns, or off-thread (off-thread.ts).
 */
import type { Binding } from '../binding/binding.ts'
import type { Phase, PhaseObserver } from '../observe/observer.ts'
import { nextTurn } from '#platform'
import type { SegmentRows } from './segment-rows.ts'
import type { KernelTask, NodePart, ReduceBody } from './work.ts'

/** Answers an exchange step with the parts of all ranks. */
export type Exchange = (round: number, parts: readonly NodePart[]) => Promise<readonly NodePart[]>

/** Compares the statistics of segments with those of ranks that have them, too, and throws if they differ. */
export type Compare = (statistics: SegmentRows) => Promise<void>

/** Runs the tasks of one step; between tasks the event loop may turn. */
export type RunTasks = (tasks: readonly KernelTask[], binding: Binding, phase: Phase) => Promise<void>

/** Runs a body at once. Only reductions in which no segment is cut across ranks can be run so. */
export function runSync(body: ReduceBody, binding: Binding): SegmentRows {
  for (let step = body.next(); ; step = body.next(undefined)) {
    if (step.done) return step.value
    if (step.value.kind === 'exchange') throw new Error('A synchronous reduction has nobody to exchange with.')
    if (step.value.kind === 'kernels') for (const task of step.value.tasks) task.sync(binding)
  }
}

export async function run(
  body: ReduceBody,
  binding: Binding,
  runTasks: RunTasks,
  { exchange, compare }: { readonly exchange?: Exchange; readonly compare?: Compare } = {},
): Promise<SegmentRows> {
  let answer: readonly NodePart[] | undefined
  for (;;) {
    const step = body.next(answer)
    if (step.done) return step.value
    answer = undefined
    if (step.value.kind === 'kernels') await runTasks(step.value.tasks, binding, step.value.phase)
    else if (step.value.kind === 'compare') await compare?.(step.value.statistics)
    else if (exchange) answer = await exchange(step.value.round, step.value.parts)
    else throw new Error('This reduction has nobody to exchange with.')
  }
}

/** How long kernels may keep the event loop from turning. */
const TURN_MS = 5

/**
 * Runs tasks on this thread and lets the event loop turn every few milliseconds. The caller's own buffers are reduced
 * so: they may be transferred away at any time, so no other thread may hold pointers into them. `check` runs after
 * every turn.
 */
export function cooperative(check: () => void, observer?: PhaseObserver): RunTasks {
  let turnEnds = performance.now() + TURN_MS
  return async (tasks, binding, phase) => {
    const span = observer?.begin(phase)
    for (const task of tasks) {
      if (performance.now() > turnEnds) {
        await nextTurn()
        check()
        turnEnds = performance.now() + TURN_MS
      }
      task.sync(binding)
    }
    if (span) observer!.end(span)
  }
}

/** Inputs that are still on their way. */
export interface Arrival {
  /**
   * Resolves when that many elements of every input are here, counted from the slice's start; undefined if they are
   * already.
   */
  until(elementCount: number): Promise<void> | undefined
}

/** Runs each task as soon as the elements that it needs are here; the rest may still be on the wire. */
export function arriving(arrival: Arrival, check: () => void, runTasks: RunTasks): RunTasks {
  return async (tasks, binding, phase) => {
    for (const task of tasks) {
      if (task.needs !== undefined) await arrival.until(task.needs)
      check()
      await runTasks([task], binding, phase)
    }
  }
}
