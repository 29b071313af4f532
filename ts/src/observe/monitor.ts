/** Watches one group: records its calls, and reports stalls and failures. */
import { emitWarning } from '#platform'
import type { FlightEntry } from '../call-records.ts'
import type { AdasumError } from '../errors.ts'
import type { StallReport } from '../types.ts'
import type { Watcher } from './observer.ts'
import { Recorder } from './recorder.ts'

/** Where a group's monitor passes on what it is told. */
export interface Reporting {
  /** The watcher of a group's calls, if there is one. */
  timelineOf(group: string): Watcher | undefined
  reportStall(report: StallReport): void
  reportFailure(group: string, error: AdasumError, calls: readonly FlightEntry[]): void
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
  reportStall(message: string, report: StallReport): void {
    emitWarning(message, 'ADASUM_STALL')
    this.#reporting?.reportStall(report)
  }

  /** The group has failed. */
  reportFailure(error: AdasumError, calls: readonly FlightEntry[]): void {
    this.#reporting?.reportFailure(this.group, error, calls)
  }
}
