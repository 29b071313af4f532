/** What a calibration prints, for people and as JSON lines. */
import { DEFAULT_TUNING, type Tuning, TUNING_NAMES, formatTuning } from '../../tuning.ts'
import type { Measurement, Question } from './calibration.ts'
import { significant } from './result.ts'

/** A measurement, and how many rounds it is from. */
export interface Case extends Measurement {
  readonly rounds: number
}

export interface CalibrationReport {
  begin(question: Question): void
  add(question: Question, found: Case): void
  end(tuning: Tuning): void
}

export function calibrationReport(
  isJson: boolean,
  transport: string,
  print: (line: string) => void,
): CalibrationReport {
  return isJson ? jsonReport(transport, print) : tableReport(transport, print)
}

function jsonReport(transport: string, print: (line: string) => void): CalibrationReport {
  return {
    begin: () => {},
    add: ({ decides, collective, ways }, { n, byteLength: bytes, rounds, p50Us }) => {
      const medians = Object.fromEntries(ways.map(({ name }, i) => [name, significant(p50Us[i]!)]))
      print(JSON.stringify({ decides, op: collective, n, bytes, transport, rounds, p50Us: medians }))
    },
    end: (tuning) => print(JSON.stringify({ tuning })),
  }
}

const WIDTH = 15
const row = (cells: readonly (string | number)[]): string => cells.map((cell) => String(cell).padStart(WIDTH)).join('')

function tableReport(transport: string, print: (line: string) => void): CalibrationReport {
  return {
    begin: ({ decides, collective, ways }) => {
      print(`# ${decides.join(', ')}: ${collective} over ${transport}, p50(us) of each way`)
      print(row(['ranks', 'size(B)', 'rounds', ...ways.map(({ name }) => name)]))
    },
    add: (_, { n, byteLength, rounds, p50Us }) => print(row([n, byteLength, rounds, ...p50Us.map(significant)])),
    end: (tuning) => {
      print(`\n# ${changesOf(tuning).join(', ') || 'no difference above the noise: the defaults'}`)
      print(`ADASUM_TUNING=${formatTuning(tuning)}`)
    },
  }
}

function changesOf(tuning: Tuning): string[] {
  const changed = TUNING_NAMES.filter((name) => tuning[name] !== DEFAULT_TUNING[name])
  return changed.map((name) => `${name} ${tuning[name]} instead of ${DEFAULT_TUNING[name]}`)
}
