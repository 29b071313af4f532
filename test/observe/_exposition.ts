/**
 * A strict reader of the text format of Prometheus, version 0.0.4, by its description: HELP and TYPE come once and before the
 * samples of their family, which stand together; names, labels, escapes and values are those that are allowed; histograms are
 * cumulative and end with +Inf, which is the count. Throws at the first line that is wrong.
 */
export interface Sample {
  readonly name: string
  readonly labels: Record<string, string>
  readonly value: number
}

export interface Family {
  readonly name: string
  help: string | undefined
  type: string | undefined
  readonly samples: Sample[]
}

const METRIC_NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"`
const VALUE = String.raw`[+-]?(?:Inf|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|NaN`
const SAMPLE = new RegExp(`^(${METRIC_NAME})(?:\\{((?:${LABEL}(?:,${LABEL})*,?)?)\\})? (${VALUE})(?: -?\\d+)?$`)
const HELP = new RegExp(String.raw`^# HELP (${METRIC_NAME}) ((?:[^\\\n]|\\[\\n])*)$`)
const TYPE = new RegExp(`^# TYPE (${METRIC_NAME}) (counter|gauge|histogram|summary|untyped)$`)
const SUFFIXES: Record<string, string[]> = { histogram: ['_bucket', '_sum', '_count'] }

export function parseExposition(text: string): Map<string, Family> {
  if (text !== '' && !text.endsWith('\n')) throw new Error('The last line has no end.')
  const families = new Map<string, Family>()
  let current: Family | undefined
  const enter = (name: string): Family => {
    if (current?.name === name) return current
    if (families.has(name)) throw new Error(`The lines of ${name} do not stand together.`)
    families.set(name, (current = { name, help: undefined, type: undefined, samples: [] }))
    return current
  }
  for (const line of text.split('\n').slice(0, -1)) {
    const [, helpName, help] = HELP.exec(line) ?? []
    const [, typeName, type] = TYPE.exec(line) ?? []
    if (helpName !== undefined) {
      const family = enter(helpName)
      if (family.help !== undefined || family.samples.length > 0) throw new Error(`HELP twice, or late: ${line}`)
      family.help = help
    } else if (typeName !== undefined) {
      const family = enter(typeName)
      if (family.type !== undefined || family.samples.length > 0) throw new Error(`TYPE twice, or late: ${line}`)
      family.type = type
    } else if (current) current.samples.push(parseSample(line, current))
    else throw new Error(`Before any family: ${line}`)
  }
  for (const family of families.values()) checkFamily(family)
  return families
}

function parseSample(line: string, { name, type = 'untyped' }: Family): Sample {
  const [, sampleName, labelText = '', value] = SAMPLE.exec(line) ?? []
  if (sampleName === undefined) throw new Error(`No sample: ${line}`)
  if (!(SUFFIXES[type] ?? ['']).some((suffix) => sampleName === name + suffix))
    throw new Error(`Not of ${name}: ${line}`)
  const labels: Record<string, string> = {}
  for (const [label] of labelText.matchAll(new RegExp(LABEL, 'g'))) {
    const [key, quoted] = [label.slice(0, label.indexOf('=')), label.slice(label.indexOf('=') + 2, -1)]
    if (key in labels) throw new Error(`${key} twice: ${line}`)
    labels[key] = quoted.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped))
  }
  return { name: sampleName, labels, value: numberOf(value!) }
}

const numberOf = (text: string): number => Number(text.replace('Inf', 'Infinity'))

function checkFamily({ name, type, samples }: Family): void {
  const seen = new Set(samples.map((sample) => JSON.stringify([sample.name, Object.entries(sample.labels).sort()])))
  if (seen.size !== samples.length) throw new Error(`Samples of ${name} with equal labels`)
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0))) throw new Error(`A counter below 0: ${name}`)
  if (type === 'histogram') checkHistogram(name, samples)
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const series = new Map<string, Sample[]>()
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels
    const key = JSON.stringify(labels)
    series.set(key, [...(series.get(key) ?? []), sample])
  }
  for (const [key, list] of series) {
    const buckets = list.filter((sample) => sample.name === `${name}_bucket`)
    const ends = buckets.map(({ labels }) => numberOf(labels['le'] ?? 'NaN'))
    const isAscending = (numbers: readonly number[], isStrict: boolean): boolean =>
      numbers.every((number, i) => i === 0 || (isStrict ? number > numbers[i - 1]! : number >= numbers[i - 1]!))
    if (!isAscending(ends, true) || ends.at(-1) !== Infinity) throw new Error(`Ends of the buckets of ${name} ${key}`)
    const counts = buckets.map(({ value }) => value)
    if (!isAscending(counts, false)) throw new Error(`Buckets of ${name} ${key} are not cumulative`)
    const count = list.find((sample) => sample.name === `${name}_count`)?.value
    if (count !== counts.at(-1)) throw new Error(`${name} ${key} counts ${count}, and ${counts.at(-1)} up to infinity`)
    if (!list.some((sample) => sample.name === `${name}_sum`)) throw new Error(`${name} ${key} has no sum`)
  }
}
