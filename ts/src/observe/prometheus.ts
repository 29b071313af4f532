/** Metrics in the text format that Prometheus reads (version 0.0.4). */
import type { CallMetrics, CommunicatorMetrics } from '../call-records.ts'
import { AdasumError, inspect, reading } from '../errors.ts'

type Labels = Readonly<Record<string, string | number>>

interface Sample {
  /** What follows the family's name in the name of the sample. */
  readonly suffix?: string
  readonly labels: Labels
  readonly value: number
}

interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly samplesOf: (metrics: CommunicatorMetrics, labels: Labels) => Sample[]
}

/** A counter with a sample for each kind of call. */
function perCall(name: string, help: string, valueOf: (call: CallMetrics) => number): Family {
  const samplesOf: Family['samplesOf'] = ({ calls }, labels) =>
    calls.map((call) => ({ labels: { ...labels, ...kindOf(call) }, value: valueOf(call) }))
  return { name, type: 'counter', help, samplesOf }
}

const kindOf = ({ operation, op = '' }: CallMetrics): Labels => ({ operation, op })

const FAMILIES: readonly Family[] = [
  perCall('adasum_calls_total', 'Calls that have ended.', ({ calls }) => calls),
  perCall('adasum_calls_failed_total', 'Calls that have thrown.', ({ failed }) => failed),
  {
    name: 'adasum_errors_total',
    type: 'counter',
    help: 'Calls that have thrown, by the code of their error.',
    samplesOf: ({ errors }, labels) =>
      Object.entries(errors).map(([code, value]) => ({ labels: { ...labels, code }, value })),
  },
  perCall('adasum_sent_bytes_total', 'Bytes handed to the network, headers included.', ({ bytesSent }) => bytesSent),
  perCall('adasum_received_bytes_total', 'Bytes received, headers included.', ({ bytesReceived }) => bytesReceived),
  perCall(
    'adasum_shared_bytes_total',
    'Bytes read in the memory of ranks on the same machine.',
    (row) => row.sharedBytes,
  ),
  perCall('adasum_early_bytes_total', 'Bytes received before they were asked for.', ({ earlyBytes }) => earlyBytes),
  perCall('adasum_off_thread_kernels_total', 'Kernel calls on other threads.', (call) => call.offThreadKernels),
  {
    name: 'adasum_phase_seconds_total',
    type: 'counter',
    help: 'Time that calls have spent in their phases, which may overlap.',
    samplesOf: ({ calls }, labels) =>
      calls.flatMap((call) =>
        Object.entries(call.phaseMs).map(([phase, ms]) => ({
          labels: { ...labels, ...kindOf(call), phase },
          value: ms / 1000,
        })),
      ),
  },
  {
    name: 'adasum_call_duration_seconds',
    type: 'histogram',
    help: 'How long calls have taken.',
    samplesOf: ({ calls }, labels) => calls.flatMap((call) => histogram(call, { ...labels, ...kindOf(call) })),
  },
  {
    name: 'adasum_stalls_total',
    type: 'counter',
    help: 'Calls that stood still.',
    samplesOf: ({ stalls }, labels) => [{ labels, value: stalls }],
  },
  {
    name: 'adasum_binding_info',
    type: 'gauge',
    help: 'What computes: the native addon or WebAssembly, and its instruction set. Always 1.',
    samplesOf: ({ binding: { kind, isa } }, labels) => [{ labels: { ...labels, kind, isa }, value: 1 }],
  },
  {
    name: 'adasum_open_connections',
    type: 'gauge',
    help: 'Connections to other ranks.',
    samplesOf: ({ openConnections }, labels) => [{ labels, value: openConnections }],
  },
]

function histogram({ durations, calls }: CallMetrics, labels: Labels): Sample[] {
  const { bucketsMs, counts, sumMs } = durations
  let sum = 0
  const buckets = bucketsMs.map((endMs, i) => {
    sum += counts[i]!
    return { suffix: '_bucket', labels: { ...labels, le: endMs / 1000 }, value: sum }
  })
  return [
    ...buckets,
    { suffix: '_bucket', labels: { ...labels, le: '+Inf' }, value: calls },
    { suffix: '_sum', labels, value: sumMs / 1000 },
    { suffix: '_count', labels, value: calls },
  ]
}

/**
 * What `metrics()` of one communicator or of several has given, in the text format that Prometheus reads. Every sample
 * has the labels `rank` (in the world) and `group`.
 * @throws AdasumError ERR_ARGUMENT for anything else
 */
export function metricsText(...all: readonly CommunicatorMetrics[]): string {
  return reading('metrics', () => {
    const wrong = all.findIndex((metrics: unknown) => typeof metrics !== 'object' || metrics === null)
    if (wrong >= 0)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `argument ${wrong + 1} of metricsText is ${inspect(all[wrong])}. Pass what \`metrics()\` of a communicator gives.`,
      )
    return textOf(all)
  })
}

function textOf(all: readonly CommunicatorMetrics[]): string {
  const lines = FAMILIES.flatMap(({ name, type, help, samplesOf }) => {
    const samples = all.flatMap((metrics) => samplesOf(metrics, { rank: metrics.worldRank, group: metrics.group }))
    const head = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`]
    return samples.length === 0 ? [] : [...head, ...samples.map((sample) => sampleLine(name, sample))]
  })
  return lines.map((line) => `${line}\n`).join('')
}

function sampleLine(name: string, { suffix = '', labels, value }: Sample): string {
  const list = Object.entries(labels).map(([label, text]) => `${label}="${escaped(String(text))}"`)
  return `${name}${suffix}{${list.join()}} ${value}`
}

function escaped(text: string): string {
  return text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\"`)
    .replaceAll('\n', String.raw`\n`)
}
