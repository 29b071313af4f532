/** What a connection and its groups are watched with: files, and whom to tell of a call that stands still. */
import { appendFileSync } from 'node:fs'
import { type AdasumError, systemCode } from '../errors.ts'
import type { FlightEntry, StallReport } from '../types.ts'
import { fileNameOf } from './file-name.ts'
import { Recorder } from './recorder.ts'
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

export class Instruments {
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
  stalled(report: StallReport): void {
    try {
      this.onStall?.(report)
    } catch (error) {
      warn(`onStall has thrown, and the call goes on: ${String(error)}`, 'ADASUM_ON_STALL')
    }
  }

  /** This rank waits for others to connect. @param message - absent: another one says it */
  waiting(report: StallReport, message?: string): void {
    if (message !== undefined) warn(message, 'ADASUM_WAITING')
    this.stalled(report)
  }

  async close(): Promise<void> {
    await this.timeline?.close()
  }
}

/** Watches one group, with files and the like if there are any. */
export class Monitor {
  readonly group: string
  readonly recorder: Recorder
  readonly #instruments: Instruments | undefined

  constructor(group: string, instruments?: Instruments) {
    this.group = group
    this.#instruments = instruments
    this.recorder = new Recorder(instruments?.timeline?.group(group))
  }

  /** A report only, whatever becomes of it. */
  stalled(message: string, report: StallReport): void {
    process.emitWarning(message, { type: 'AdasumWarning', code: 'ADASUM_STALL' })
    this.#instruments?.stalled(report)
  }

  /** The group has failed. What is written waits for the disk: the process may end at once. */
  failed({ code, message }: AdasumError, calls: readonly FlightEntry[]): void {
    if (!this.#instruments) return
    const { rank, size, flightFile, timeline } = this.#instruments
    void timeline?.flush()
    if (flightFile === undefined) return
    const record = {
      time: new Date().toISOString(),
      group: this.group,
      worldRank: rank,
      worldSize: size,
      code,
      message,
      calls,
    }
    try {
      appendFileSync(flightFile, `${JSON.stringify(record)}\n`)
    } catch (error) {
      warn(`No flight record in ${flightFile} (${systemCode(error) ?? String(error)}).`, 'ADASUM_FLIGHT_RECORD')
    }
  }
}

function warn(message: string, code: string): void {
  process.emitWarning(message, { type: 'AdasumWarning', code })
}
