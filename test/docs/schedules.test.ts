/** docs/schedules.md: its table is what the schedules say. A failure prints the table as it has to be. */
import { readFileSync } from 'node:fs'
import test from 'ava'
import { BLOCK_ELEMENTS } from '../../ts/src/binding/binding.ts'
import { type Level, LevelPlanner } from '../../ts/src/collectives/schedule/level-plan.ts'
import { type LevelKind } from '../../ts/src/collectives/schedule/tree.ts'
import { dtypeOf } from '../../ts/src/tensor/dtype.ts'
import { layoutOfArray } from '../../ts/src/tensor/layout.ts'

const SIZES = [2, 3, 4, 8, 12, 16, 17, 24, 32, 64, 100, 128, 256, 512, 1024]
const MOST_SHARERS = 16

interface Figures {
  levels: number
  rounds: number
  messages: number
  bytes: number
  operations: number
}

/** The figures of a large vector of one segment, on a rank in the middle. */
function figuresOf(kind: LevelKind | 'direct', size: number): Figures {
  if (kind === 'direct')
    return { levels: 1, rounds: 1, messages: size - 1, bytes: size - 1, operations: operationsOf(size) }
  const layout = layoutOfArray(dtypeOf(new Float32Array(1))!, size * 256 * BLOCK_ELEMENTS)
  const rank = Math.floor(size / 2)
  const levels = new LevelPlanner(kind, size, rank).plan(layout)
  const add = (of: (level: Level) => number): number => levels.reduce((sum, level) => sum + of(level), 0)
  const others = (transfers: Level['sends']) => transfers.filter((transfer) => transfer.rank !== rank)
  // The Gram exchange: everyone to everyone, or to one and back.
  const isSmall = ({ node }: Level): boolean => node.count <= MOST_SHARERS
  const gramMessages = (level: Level): number => (isSmall(level) ? level.node.count - 1 : 1)
  const elements = add(({ sends, receives }) =>
    [...others(sends), ...others(receives)].reduce((sum, { begin, end }) => sum + end - begin, 0),
  )
  return {
    levels: levels.length,
    rounds: add((level) => (isSmall(level) ? 3 : 4)),
    messages: add((level) => others(level.sends).length + others(level.receives).length + gramMessages(level)),
    bytes: elements / layout.elementCount,
    operations: add(({ begin, end, inputs }) => (operationsOf(inputs.length) * (end - begin)) / layout.elementCount),
  }
}

/** Multiplications and additions in pairs for an element: the products of the Gram matrix, then the combination. */
function operationsOf(inputCount: number): number {
  return (inputCount * (inputCount + 1)) / 2 + inputCount
}

function tableOf(): string {
  const rows = SIZES.flatMap((size) => {
    const isPowerOfTwo = Number.isInteger(Math.log2(size))
    const kinds = [
      ...(size <= 8 ? (['direct'] as const) : []),
      ...(size <= 16 ? (['single-shot'] as const) : (['levels'] as const)),
      ...(isPowerOfTwo && size > 2 ? (['rvh'] as const) : []),
    ]
    return kinds.map((kind) => {
      const { levels, rounds, messages, bytes, operations } = figuresOf(kind, size)
      return [size, kind, levels, rounds, messages, bytes.toFixed(2), operations.toFixed(1)].map(String)
    })
  })
  const head = ['ranks', 'schedule', 'levels', 'rounds', 'messages', 'bytes', 'operations']
  const widths = head.map((word, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length), word.length))
  const line = (cells: string[]): string => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

test('the table of rounds, bytes and operations is that of the schedules', (t) => {
  const text = readFileSync(new URL('../../docs/schedules.md', import.meta.url), 'utf8')
  t.true(text.includes(tableOf()), `The table has to be:\n\n${tableOf()}\n`)
})
