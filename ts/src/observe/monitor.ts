/** What watches one group. */
import { emitWarning } from '#platform'
import type { FlightEntry } from '../call-records.ts'
import type { AdasumError } from '../errors.ts'
import type { StallReport } from '../types.ts'
import type { Watcher } from './observer.ts'
import { Recorder } from './recorder.ts'

/** Who else is told what a group's monitor hears of. */
export interface Reporting {
  /** Who follows the calls of a group, if anybody does. */
  timelineOf(group: string): Watcher | undefined
  stalled(report: StallReport): void
  failed(group: string, error: AdasumError, calls: readonly FlightEntry[]): void
}

export class Monitor {
  readonly group: string
  readonly recorder: Recorder
  readonly #reporting: Reporting | undefined

  constructor(group: string, reporting?: Reporting) {
    this.group = group
    this.#reporting = reporting
    this.recorder = new Recorder(reporting?.timelineOf(group))
  }

  /** A report only, whatever becomes of it. */
  stalled(message: string, report: StallReport): void {
    emitWarning(message, 'ADASUM_STALL')
    this.#reporting?.stalled(report)
  }

  /** The group has failed. */
  failed(error: AdasumError, calls: readonly FlightEntry[]): void {
    this.#reporting?.failed(this.group, error, calls)
  }
}
