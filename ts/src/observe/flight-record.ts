/**
 * The flight record: the last hundred calls of a group, for whoever looks at a failure afterwards. Its slots are used
 * again and again.
 */
import type { FlightEntry } from '../call-records.ts'
import type { ErrorCode } from '../errors.ts'
import type { CallWords, ObservedCall, Span } from './observer.ts'

export const FLIGHT_RECORD_LENGTH = 100

class Slot {
  /** The call, until it has ended. */
  call: ObservedCall | undefined
  words: CallWords | undefined
  sequence = 0
  elementCount = 0
  segmentCount = 0
  bytesSent = 0
  bytesReceived = 0
  sharedBytes = 0
  lastFrom = -1
  code: ErrorCode | undefined
  // These start as fractions, so that the engine stores them as doubles that change in place.
  beginMs = 0.5
  endMs = 0.5

  begin(call: ObservedCall, beginMs: number): void {
    this.call = call
    this.words = call.words
    this.sequence = call.sequence
    this.elementCount = call.elementCount
    this.segmentCount = call.segmentCount
    this.code = undefined
    this.beginMs = beginMs
  }

  end({ call, code, endMs }: Span): void {
    this.#look(call!)
    this.call = undefined
    this.code = code
    this.endMs = endMs
  }

  #look({ bytesSent, bytesReceived, sharedBytes, lastFrom }: ObservedCall): void {
    this.bytesSent = bytesSent
    this.bytesReceived = bytesReceived
    this.sharedBytes = sharedBytes
    this.lastFrom = lastFrom
  }

  entry(zeroMs: number, titleOf: (operation: string, sequence: number) => string): FlightEntry {
    const { call, sequence, elementCount, segmentCount, code } = this
    const { operation, op, dtype, schedule, format, elementByteLength } = this.words!
    if (call) this.#look(call)
    const words = {
      ...(op && { op }),
      ...(dtype && { dtype }),
      ...(schedule && { schedule }),
      ...(format && { format }),
    }
    const lengths = { elementCount, segmentCount, byteLength: elementCount * elementByteLength }
    const { bytesSent, bytesReceived, sharedBytes, lastFrom } = this
    return {
      title: titleOf(operation, sequence),
      operation,
      ...words,
      ...lengths,
      ...{ bytesSent, bytesReceived, sharedBytes },
      state: call ? 'running' : code === undefined ? 'completed' : 'failed',
      ...(code !== undefined && { code }),
      beginMs: this.beginMs - zeroMs,
      ...(!call && { endMs: this.endMs - zeroMs }),
      ...(lastFrom >= 0 && { lastFrom }),
      waitingFor: call?.awaitedRanks() ?? [],
    }
  }
}

export class FlightRecord {
  readonly #slots: Slot[] = []
  #count = 0
  readonly #zeroMs = performance.now()

  /** A call. */
  onBegin({ call, beginMs }: Span): void {
    const slot = (this.#slots[this.#count % FLIGHT_RECORD_LENGTH] ??= new Slot())
    slot.begin(call!, beginMs)
    this.#count++
  }

  onEnd(span: Span): void {
    // Most likely the latest. More calls than there are slots may be under way: then the oldest have none.
    for (let back = 1; back <= this.#slots.length; back++) {
      const slot = this.#slots[(this.#count - back) % FLIGHT_RECORD_LENGTH]!
      if (slot.call === span.call) return slot.end(span)
    }
  }

  /** The calls as they stand now, the oldest first. */
  entries(titleOf: (operation: string, sequence: number) => string): FlightEntry[] {
    const first = Math.max(0, this.#count - FLIGHT_RECORD_LENGTH)
    return Array.from({ length: this.#count - first }, (_, i) =>
      this.#slots[(first + i) % FLIGHT_RECORD_LENGTH]!.entry(this.#zeroMs, titleOf),
    )
  }
}
