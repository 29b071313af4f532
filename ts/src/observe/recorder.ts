/** Begins and ends the spans of a group's calls, and tells those who watch. */
import type { ErrorCode } from '../errors.ts'
import { FlightRecord } from './flight-record.ts'
import { CallCounters } from './metrics.ts'
import type { ObservedCall, Phase, Span, Watcher } from './observer.ts'

export class Recorder {
  readonly counters: CallCounters = new CallCounters()
  readonly flight: FlightRecord = new FlightRecord()
  readonly #timeline: Watcher | undefined
  readonly #free: Span[] = []

  /** @param timeline - if there is to be one */
  constructor(timeline?: Watcher) {
    this.#timeline = timeline
  }

  begin(call: ObservedCall, phase: Phase | 'call'): Span {
    const span = this.#free.pop() ?? newSpan()
    span.call = call
    span.phase = phase
    span.code = undefined
    call.openSpans.push(span)
    this.#tellBegin(span)
    return span
  }

  end(span: Span): void {
    this.#tellEnd(span)
    const { openSpans } = span.call!
    span.call = undefined
    // The last one takes its place.
    const last = openSpans.pop()!
    if (last !== span) openSpans[openSpans.indexOf(span)] = last
    this.#free.push(span)
  }

  /** The first frame of a call has come from another rank. The exchange phase until now becomes the queue phase. */
  onHeard({ openSpans }: ObservedCall): void {
    const span = openSpans.find(({ phase }) => phase === 'exchange')
    if (!span) return
    span.phase = 'queue'
    this.#tellEnd(span)
    span.phase = 'exchange'
    this.#tellBegin(span)
  }

  /** Ends a call, and those of its phases that have not ended. */
  endCall({ openSpans }: ObservedCall, span: Span, code: ErrorCode | undefined): void {
    for (let i = openSpans.length - 1; i >= 0; i--) {
      const other = openSpans[i]!
      if (other === span) continue
      other.code = code
      this.end(other)
    }
    span.code = code
    this.end(span)
  }

  #tellBegin(span: Span): void {
    span.beginMs = performance.now()
    if (span.phase === 'call') this.flight.onBegin(span)
    this.#timeline?.onBegin(span)
  }

  #tellEnd(span: Span): void {
    span.endMs = performance.now()
    this.counters.onEnd(span)
    if (span.phase === 'call') this.flight.onEnd(span)
    this.#timeline?.onEnd(span)
  }
}

/** Both times are no whole numbers from the start on: then they are changed in place. */
const newSpan = (): Span => ({ call: undefined, phase: 'call', beginMs: 0.5, endMs: 0.5, code: undefined })

/** What begins after its call has ended. */
export const NO_SPAN: Span = newSpan()
