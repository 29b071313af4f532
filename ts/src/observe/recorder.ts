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
    this.#begun(span)
    return span
  }

  end(span: Span): void {
    this.#ended(span)
    const { openSpans } = span.call!
    span.call = undefined
    // The last one takes its place.
    const last = openSpans.pop()!
    if (last !== span) openSpans[openSpans.indexOf(span)] = last
    this.#free.push(span)
  }

  /** Another rank has been heard of in a call, for the first time: what was exchange until now was waiting in the queue. */
  heard({ openSpans }: ObservedCall): void {
    const span = openSpans.find(({ phase }) => phase === 'exchange')
    if (!span) return
    span.phase = 'queue'
    this.#ended(span)
    span.phase = 'exchange'
    this.#begun(span)
  }

  /** A call is over, and with it what is left of its phases. */
  callEnded({ openSpans }: ObservedCall, span: Span, code: ErrorCode | undefined): void {
    for (let i = openSpans.length - 1; i >= 0; i--) {
      const other = openSpans[i]!
      if (other === span) continue
      other.code = code
      this.end(other)
    }
    span.code = code
    this.end(span)
  }

  #begun(span: Span): void {
    span.beginMs = performance.now()
    if (span.phase === 'call') this.flight.begun(span)
    this.#timeline?.begun(span)
  }

  #ended(span: Span): void {
    span.endMs = performance.now()
    this.counters.ended(span)
    if (span.phase === 'call') this.flight.ended(span)
    this.#timeline?.ended(span)
  }
}

/** Both times are no whole numbers from the start on: then they are changed in place. */
const newSpan = (): Span => ({ call: undefined, phase: 'call', beginMs: 0.5, endMs: 0.5, code: undefined })

/** What begins after its call has ended. */
export const NO_SPAN: Span = newSpan()
