/** Counters of a communicator's calls since it was made. */
import type { CallMetrics, CommunicatorMetrics } from '../call-records.ts'
import type { ErrorCode } from '../errors.ts'
import { type CallWords, PHASES, type Phase, type Span } from './observer.ts'

/** Upper ends of the duration buckets, in seconds, as Prometheus has them; one more bucket has what lasted longer. */
export const DURATION_BUCKETS_S: readonly number[] = [
  ...[1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05],
  ...[0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
]

/** Counters of the calls with one operation and op. */
class Row {
  readonly operation: string
  readonly op: string
  calls = 0
  failed = 0
  bytesSent = 0
  bytesReceived = 0
  sharedBytes = 0
  earlyBytes = 0
  offThreadKernels = 0
  readonly phaseMs: Float64Array = new Float64Array(PHASES.length)
  readonly durationCounts: Float64Array = new Float64Array(DURATION_BUCKETS_S.length + 1)
  /** One number in an array, because the engine would allocate a new one each time that a field changes. */
  readonly durationSumMs: Float64Array = new Float64Array(1)

  constructor(operation: string, op: string) {
    this.operation = operation
    this.op = op
  }

  count({ call, code, beginMs, endMs }: Span): void {
    this.calls++
    this.offThreadKernels += call!.offThreadKernels
    const ms = endMs - beginMs
    this.durationCounts[bucketOf(ms / 1000)]! += 1
    this.durationSumMs[0]! += ms
    if (code !== undefined) {
      // How much of it has been sent and received is not known.
      this.failed++
      return
    }
    this.bytesSent += call!.bytesSent
    this.bytesReceived += call!.bytesReceived
    this.sharedBytes += call!.sharedBytes
    this.earlyBytes += call!.earlyBytes
  }

  snapshot(): CallMetrics {
    const { operation, op, calls, failed, bytesSent, bytesReceived, sharedBytes, earlyBytes, offThreadKernels } = this
    const phaseMs = Object.fromEntries(PHASES.map((phase, i) => [phase, this.phaseMs[i]!])) as Record<Phase, number>
    const durations = {
      bucketsMs: DURATION_BUCKETS_S.map((seconds) => seconds * 1000),
      counts: [...this.durationCounts],
      sumMs: this.durationSumMs[0]!,
    }
    const bytes = { bytesSent, bytesReceived, sharedBytes, earlyBytes }
    return { operation, ...(op && { op }), calls, failed, ...bytes, offThreadKernels, phaseMs, durations }
  }
}

export class CallCounters {
  readonly #rows = new Map<string, Row>()
  /** The row that was used last: most likely the next one, too. */
  #words: CallWords | undefined
  #row: Row | undefined
  readonly #errors = new Map<ErrorCode, number>()
  #stalls = 0

  /** A call, or a phase of one. */
  onEnd(span: Span): void {
    const { words } = span.call!
    const row = words === this.#words ? this.#row! : this.#rowOf(words)
    if (span.phase !== 'call') {
      row.phaseMs[PHASES.indexOf(span.phase)]! += span.endMs - span.beginMs
      return
    }
    row.count(span)
    if (span.code !== undefined) this.#errors.set(span.code, (this.#errors.get(span.code) ?? 0) + 1)
  }

  countStall(): void {
    this.#stalls++
  }

  /** What it has counted until now. */
  snapshot(): Pick<CommunicatorMetrics, 'calls' | 'errors' | 'stalls'> {
    const calls = [...this.#rows.values()].map((row) => row.snapshot())
    return { calls, errors: Object.fromEntries(this.#errors), stalls: this.#stalls }
  }

  #rowOf(words: CallWords): Row {
    const { key, operation, op } = words
    let row = this.#rows.get(key)
    if (!row) this.#rows.set(key, (row = new Row(operation, op)))
    this.#words = words
    return (this.#row = row)
  }
}

/** The first bucket in which a duration fits. */
function bucketOf(seconds: number): number {
  let bucket = 0
  while (bucket < DURATION_BUCKETS_S.length && seconds > DURATION_BUCKETS_S[bucket]!) bucket++
  return bucket
}
