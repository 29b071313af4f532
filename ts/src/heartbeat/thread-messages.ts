/** What the main thread and the heartbeats' thread say to each other. Each world of the process has a number. */
import type { Loss } from './messages.ts'
import type { PulseOptions } from './pulse.ts'

export type ToThread =
  | {
      readonly type: 'begin'
      readonly world: number
      readonly options: Omit<PulseOptions, 'startMs'>
      /** When the heartbeat was asked for, by `sharedClock`. */
      readonly askedAt: number
    }
  | { readonly type: 'ask' | 'unask'; readonly world: number; readonly rank: number }
  | { readonly type: 'end'; readonly world: number }

/** Milliseconds of a clock that never goes back, and that all threads of a process share. */
export function sharedClock(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export interface FromThread {
  readonly world: number
  readonly loss: Loss
}
