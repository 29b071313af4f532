/** What watches a world and its groups: the files of a timeline and of flight records, and the caller's `onStall`. */
import { emitWarning } from '#platform'
import { appendFileSync } from 'node:fs'
import type { FlightEntry } from '../call-records.ts'
import { type AdasumError, systemCode } from '../errors.ts'
import type { StallReport } from '../types.ts'
import { fileNameOf } from './file-name.ts'
import type { Watcher } from './observer.ts'
import type { Reporting } from './monitor.ts'
import { Timeline } from './timeline.ts'
import type { TraceFileOptions } from './trace-file.ts'

export interface InstrumentOptions {
  readonly rank: number
  readonly size: number
  /** File of the timeline; its name is a pattern, as file-name.ts has it. */
  readonly timeline?: TraceFileOptions | undefined
  /** File for flight records, a pattern too. */
  readonly flightRecord?: string | undefined
  readonly onStall?: ((report: StallReport) => void) | undefined
}

export class Instruments implements Reporting {
  readonly rank: number
  readonly size: number
  readonly timeline: Timeline | undefined
  readonly onStall: ((report: StallReport) => void) | undefined
  readonly flightFile: string | undefined

  /** @throws AdasumError if the file of the timeline cannot be made */
  constructor({ rank, size, timeline, flightRecord, onStall }: InstrumentOptions) {
    this.rank = rank
    this.size = size
    this.onStall = onStall
    this.flightFile = flightRecord === undefined ? undefined : fileNameOf(flightRecord, { rank, size })
    this.timeline =
      timeline && new Timeline({ ...timeline, path: fileNameOf(timeline.path, { rank, size }), rank, size })
  }

  /** Calls `onStall`, whatever becomes of it. */
  reportStall(report: StallReport): void {
    try {
      this.onStall?.(report)
    } catch (error) {
      emitWarning(`onStall has thrown, and the call goes on: ${String(error)}`, 'ADASUM_ON_STALL')
    }
  }

  /** This rank waits for others to connect. @param message - absent: another one says it */
  reportWaiting(report: StallReport, message?: string): void {
    if (message !== undefined) emitWarning(message, 'ADASUM_WAITING')
    this.reportStall(report)
  }

  timelineOf(group: string): Watcher | undefined {
    return this.timeline?.group(group)
  }

  /** What is written waits for the disk: the process may end at once. */
  reportFailure(group: string, { code, message }: AdasumError, calls: readonly FlightEntry[]): void {
    void this.timeline?.flush()
    if (this.flightFile === undefined) return
    const time = new Date().toISOString()
    const record = { time, group, worldRank: this.rank, worldSize: this.size, code, message, calls }
    try {
      appendFileSync(this.flightFile, `${JSON.stringify(record)}\n`)
    } catch (error) {
      emitWarning(
        `No flight record in ${this.flightFile} (${systemCode(error) ?? String(error)}).`,
        'ADASUM_FLIGHT_RECORD',
      )
    }
  }

  async close(): Promise<void> {
    await this.timeline?.close()
  }
}
