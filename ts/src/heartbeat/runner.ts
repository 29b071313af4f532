/**
 * Runs the heartbeats of this process: in one thread, which the first world makes and which ends with the last. Where
 * Node.js may make no thread (its permission model), or the thread fails, they run in the main thread, with a warning.
 */
import { emitWarning } from '#platform'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { reasonOf } from '../errors.ts'
import type { Loss } from './messages.ts'
import type { PulseOptions } from './pulse.ts'
import { Pulses } from './pulses.ts'
import { type FromThread, sharedClock, type ToThread } from './thread-messages.ts'

type Begin = Extract<ToThread, { type: 'begin' }>

interface World {
  readonly begin: Begin
  readonly onLoss: (loss: Loss) => void
}

/** Worlds by their numbers. */
const worlds = new Map<number, World>()
let lastWorld = 0
let thread: Worker | undefined
/** The heartbeats that run in this thread. */
let own: Pulses | undefined

export interface RunningPulse {
  tell(type: 'ask' | 'unask', rank: number): void
  end(): void
}

export function beginPulse(options: Omit<PulseOptions, 'startMs'>, onLoss: (loss: Loss) => void): RunningPulse {
  const world = ++lastWorld
  const begin: Begin = { type: 'begin', world, options, askedAt: sharedClock() }
  worlds.set(world, { begin, onLoss })
  if (own) own.take(begin)
  else if (thread) thread.postMessage(begin)
  else makeThread()
  return {
    tell: (type, rank) => send({ type, world, rank }),
    end: () => {
      if (!worlds.delete(world)) return
      send({ type: 'end', world })
      // It ends by itself, once it has read that.
      if (worlds.size === 0) thread = undefined
    },
  }
}

function send(message: ToThread): void {
  if (own) own.take(message)
  else thread?.postMessage(message)
}

function hear({ world, loss }: FromThread): void {
  worlds.get(world)?.onLoss(loss)
}

/** Makes the thread, and begins the heartbeats of all worlds in it. */
function makeThread(): void {
  try {
    const made = new Worker(...threadArguments())
    made.on('message', hear)
    made.on('error', (error) => thread === made && runHere(error))
    made.unref()
    for (const { begin } of worlds.values()) made.postMessage(begin)
    thread = made
  } catch (error) {
    runHere(error)
  }
}

/** The thread gets no flags of the program, whose loaders would run in it, too; its sources need them. */
function threadArguments(): [URL, WorkerOptions] {
  const file = new URL(import.meta.resolve('#heartbeat-thread'))
  const execArgv = file.pathname.endsWith('.ts') ? process.execArgv : []
  return [file, { execArgv, env: {}, name: 'adasum heartbeat', trackUnmanagedFds: false, resourceLimits: LIMITS }]
}

/** Its heap, which holds some connections. */
const LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 }

function runHere(reason: unknown): void {
  thread = undefined
  const message = `The heartbeat of this process has no thread of its own (${reasonOf(reason)}): a rank that computes for longer than failureTimeoutMs without turning its event loop counts as lost. Allow worker threads (--allow-worker), or raise failureTimeoutMs.`
  emitWarning(message, 'ADASUM_HEARTBEAT')
  own = new Pulses(hear)
  for (const { begin } of worlds.values()) own.take(begin)
}
