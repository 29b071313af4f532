/**
 * Calls and their phases as events of a trace that Perfetto and chrome://tracing show: a process for the rank, threads
 * (rows) for what runs at the same time.
 *
 * Every call has a row for as long as it is under way, the first that is free. Its phases lie in that row, within the
 * call; what overlaps with another phase of the same call goes to a row below it. So the events of a row never overlap
 * but for those that lie within another.
 *
 * Times are microseconds since the epoch, by each process's clock: those of one machine agree, those of different
 * machines as far as their clocks do. They are rounded one by one, so that what was ordered stays so.
 */
import type { Span, Watcher } from './observer.ts'
import { TraceFile, type TraceFileOptions } from './trace-file.ts'

/** A thread of the trace. */
interface Row {
  readonly thread: number
  isTaken: boolean
}

/** Rows for the phases of one call; the first is the call's own. */
interface CallRows {
  /** Their index among those of all calls. */
  readonly index: number
  readonly call: Row
  readonly phases: Row[]
}

const microseconds = (ms: number): number => Math.round((performance.timeOrigin + ms) * 1000)

export class Timeline {
  readonly #file: TraceFile
  readonly #rank: number
  #threadCount = 0
  #groupCount = 0

  /** @throws AdasumError if the file cannot be made */
  constructor({ rank, size, ...file }: TraceFileOptions & { readonly rank: number; readonly size: number }) {
    this.#rank = rank
    this.#file = new TraceFile(file)
    const name = `rank ${rank} of ${size} (process ${process.pid})`
    this.#file.event({ name: 'process_name', ph: 'M', pid: rank, tid: 0, args: { name } })
    this.#file.event({ name: 'process_sort_index', ph: 'M', pid: rank, tid: 0, args: { sort_index: rank } })
  }

  get path(): string {
    return this.#file.path
  }

  /** A watcher for a group of that name. */
  group(name: string): Watcher {
    return new GroupTimeline(this, name, this.#groupCount++)
  }

  /** A thread that is shown under that name, in the order of `sortIndex`. */
  newThread(name: string, sortIndex: number): number {
    const thread = ++this.#threadCount
    const common = { ph: 'M', pid: this.#rank, tid: thread }
    this.#file.event({ name: 'thread_name', ...common, args: { name } })
    this.#file.event({ name: 'thread_sort_index', ...common, args: { sort_index: sortIndex } })
    return thread
  }

  complete(name: string, category: string, { beginMs, endMs }: Span, thread: number, args: object): void {
    const [ts, end] = [microseconds(beginMs), microseconds(endMs)]
    this.#file.event({ name, cat: category, ph: 'X', ts, dur: end - ts, pid: this.#rank, tid: thread, args })
  }

  /** Writes all events until now to the file. */
  flush(): Promise<void> {
    return this.#file.flush()
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** Sort indices of groups are so far apart that a group's rows are shown together. */
const ROWS_A_GROUP = 100_000
const ROWS_A_CALL = 100

class GroupTimeline implements Watcher {
  readonly #timeline: Timeline
  readonly #name: string
  readonly #index: number
  readonly #calls: CallRows[] = []
  /** All call rows before this index are taken. */
  #firstFree = 0
  readonly #rows = new Map<Span, Row>()
  readonly #rowsOf = new Map<object, CallRows>()

  constructor(timeline: Timeline, name: string, index: number) {
    this.#timeline = timeline
    this.#name = name
    this.#index = index
  }

  onBegin(span: Span): void {
    const call = span.call!
    if (span.phase === 'call') {
      const rows = this.#freeCallRows()
      rows.call.isTaken = true
      this.#rowsOf.set(call, rows)
      this.#rows.set(span, rows.call)
      return
    }
    const row = this.#freePhaseRow(this.#rowsOf.get(call)!)
    row.isTaken = true
    this.#rows.set(span, row)
  }

  onEnd(span: Span): void {
    const row = this.#rows.get(span)!
    const call = span.call!
    this.#rows.delete(span)
    row.isTaken = false
    const isCall = span.phase === 'call'
    if (isCall) {
      this.#firstFree = Math.min(this.#firstFree, this.#rowsOf.get(call)!.index)
      this.#rowsOf.delete(call)
    }
    const name = isCall ? call.words.operation : span.phase
    this.#timeline.complete(name, isCall ? 'call' : 'phase', span, row.thread, this.#argsOf(span, isCall))
  }

  #argsOf({ call, code }: Span, isCall: boolean): object {
    const {
      number: sequence,
      words,
      elementCount,
      segmentCount,
      bytesSent,
      bytesReceived,
      sharedBytes,
      lastFrom,
    } = call!
    const { op, dtype, schedule, format, elementByteLength } = words
    const present = {
      ...(op && { op }),
      ...(dtype && { dtype }),
      ...(schedule && { schedule }),
      ...(format && { format }),
    }
    const outcome = isCall && { elementCount, segmentCount, bytesSent, bytesReceived, sharedBytes, lastFrom }
    const bytes = elementCount * elementByteLength
    return { sequence, group: this.#name, ...present, bytes, ...outcome, ...(code && { code }) }
  }

  #freeCallRows(): CallRows {
    while (this.#calls[this.#firstFree]?.call.isTaken) this.#firstFree++
    const index = this.#firstFree
    const free = this.#calls[index]
    if (free) return free
    const name = index === 0 ? this.#name : `${this.#name}, at the same time (${index})`
    const call = this.#newRow(name, index * ROWS_A_CALL)
    const rows: CallRows = { index, call, phases: [{ thread: call.thread, isTaken: false }] }
    this.#calls.push(rows)
    return rows
  }

  #freePhaseRow({ index, phases }: CallRows): Row {
    const free = phases.find(({ isTaken }) => !isTaken)
    if (free) return free
    const row = this.#newRow(`${this.#name}, overlapping phases`, index * ROWS_A_CALL + phases.length)
    phases.push(row)
    return row
  }

  #newRow(name: string, indexInGroup: number): Row {
    return { thread: this.#timeline.newThread(name, this.#index * ROWS_A_GROUP + indexInGroup), isTaken: false }
  }
}
