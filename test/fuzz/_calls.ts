/**
 * Calls of a binding, made of bytes: which one, how many of its arguments are changed, and then arguments that fit together. All memory is one
 * arena, so that arrays may overlap, be misaligned and end anywhere.
 */
import type { Random } from '../transport/_random.ts'
import type { Binding } from '../../ts/src/binding/binding.ts'

export const ARENA_BYTES = 8192
const MOST_CHANGES = 3

/** An argument: a number, a table of numbers, or memory of the arena. */
export type Argument =
  | { readonly kind: 'number'; value: number }
  | { readonly kind: 'table'; values: number[] }
  | { readonly kind: 'list'; byteLengths: number[]; offsets?: number[] }
  | { readonly kind: 'bytes' | 'doubles'; byteLength: number; isWritten: boolean; offset?: number }

export type CallName = Exclude<
  keyof Binding,
  'kind' | 'abi' | 'isa' | 'isas' | 'copy' | 'crc32' | 'allocate' | `${string}Async`
>

export interface PlannedCall {
  readonly name: CallName
  readonly args: Argument[]
}

/** Takes numbers from bytes, zeros once there are none left. */
export class Choices {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  below(count: number): number {
    return (this.#bytes[this.#at++] ?? 0) % count
  }

  pick<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!
  }
}

const number = (value: number): Argument => ({ kind: 'number', value })
const table = (values: number[]): Argument => ({ kind: 'table', values })
const list = (count: number, byteLength: number): Argument => ({
  kind: 'list',
  byteLengths: new Array<number>(count).fill(byteLength),
})
const input = (byteLength: number): Argument => ({ kind: 'bytes', byteLength, isWritten: false })
const out = (byteLength: number): Argument => ({ kind: 'bytes', byteLength, isWritten: true })
const doublesOut = (count: number): Argument => ({ kind: 'doubles', byteLength: 8 * count, isWritten: true })

const BYTES_OF: Readonly<Record<number, number>> = { 0: 4, 1: 8, 2: 2, 3: 2, 5: 1, 9: 4, 10: 4, 11: 8, 12: 8 }
const STEP_WIDTHS = [5, 8, 12, 15, 6]
const STEP_STATES = [0, 1, 2, 2, 1]
const ones = (count: number): number[] => new Array<number>(count).fill(1)
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const products = (k: number): number => (k * (k + 1)) / 2

/** Segments that are whole, all of them short. */
function counts(c: Choices): number[] {
  return Array.from({ length: c.below(4) }, () => c.pick([0, 1, 7, 16, 40]))
}

const wholePieces = (segments: readonly number[]): number[] => segments.flatMap((count) => [count, 0, count])

interface Format {
  readonly format: number
  readonly block: number
  readonly parts: number[]
  readonly codeBytes: number
}

function formatOf(c: Choices): Format {
  const [format, block, parts] = [2 + c.below(3), 16 << c.below(8), counts(c)]
  const bytesOf = (count: number): number => (format < 4 ? 2 * count : count + 4 * Math.ceil(count / block))
  return { format, block, parts, codeBytes: sum(parts.map(bytesOf)) }
}

type Plan = (c: Choices) => Argument[]

const PLANS: Readonly<Record<CallName, Plan>> = {
  reduce: (c) => {
    const [k, dtype, segments, op] = [1 + c.below(3), c.below(4), counts(c), c.below(3)]
    const resultDtype = dtype > 1 && c.below(2) === 1 ? 0 : dtype
    const [count, width] = [sum(segments), 2 + k + c.below(2) * products(k)]
    const numbers = [op, dtype, resultDtype].map(number)
    const [bytes, outBytes] = [dtype, resultDtype].map((code) => count * BYTES_OF[code]!)
    const tables = [table(ones(k)), table(wholePieces(segments))]
    return [...numbers, list(k, bytes!), ...tables, out(outBytes!), doublesOut(0), doublesOut(segments.length * width)]
  },
  gram: (c) => {
    const [k, dtype, segments] = [1 + c.below(3), c.below(4), counts(c)]
    const arrays = [list(k, sum(segments) * BYTES_OF[dtype]!), table(wholePieces(segments))]
    return [number(dtype), ...arrays, doublesOut(segments.length * products(k))]
  },
  refine: (c) => {
    const [k, dtype, m, count] = [1 + c.below(3), c.below(4), c.below(3), c.pick([0, 1, 9, 50])]
    const vectors = table(new Array<number>(m * k).fill(0.5))
    return [
      number(dtype),
      list(k, count * BYTES_OF[dtype]!),
      vectors,
      table([count, 0, count]),
      doublesOut(m * (k + 1)),
    ]
  },
  combine: (c) => {
    const [k, dtype, parts] = [1 + c.below(3), c.below(4), counts(c)]
    const bytes = sum(parts) * BYTES_OF[dtype]!
    const tables = [table(parts), table(new Array<number>(parts.length * k).fill(0.25))]
    return [number(dtype), number(dtype), list(k, bytes), ...tables, out(bytes)]
  },
  fold: (c) => {
    const [op, dtype] = c.pick([3, 4, 0].flatMap((code) => [5, 9, 10, 11, 12].map((dtype) => [code, dtype] as const)))
    const bytes = c.below(40) * BYTES_OF[dtype]!
    return [number(op), number(dtype), list(1 + c.below(3), bytes), out(bytes)]
  },
  quantize: (c) => {
    const { format, block, parts, codeBytes } = formatOf(c)
    const bytes = 4 * sum(parts)
    return [number(format), number(block), input(bytes), table(parts), out(c.below(2) * bytes), out(codeBytes)]
  },
  dequantize: (c) => {
    const { format, block, parts, codeBytes } = formatOf(c)
    return [number(format), number(block), input(codeBytes), table(parts), out(4 * sum(parts))]
  },
  step: (c) => {
    const [rule, dtype, parts] = [c.below(5), c.below(2), counts(c)]
    const [bytes, states] = [sum(parts) * BYTES_OF[dtype]!, STEP_STATES[rule]!]
    const factors = table(new Array<number>(parts.length * STEP_WIDTHS[rule]!).fill(0.5))
    const written = [bytes, Math.min(states, 1) * bytes, (states >> 1) * bytes].map(out)
    return [number(rule), number(dtype), input(bytes), table(parts), factors, ...written]
  },
  orthogonalize: (c) => {
    const [dtype, rows, columns] = [c.below(2), c.pick([0, 1, 3, 8]), c.pick([0, 1, 5, 9])]
    const factors = [1e-7, 0, ...new Array<number>(3 * c.below(3)).fill(0.5)]
    return [...[dtype, rows, columns].map(number), table(factors), out(rows * columns * BYTES_OF[dtype]!)]
  },
  hasNonFinite: (c) => {
    const [dtype, parts] = [c.below(4), counts(c)]
    return [number(dtype), input(sum(parts) * BYTES_OF[dtype]!), table(parts)]
  },
  nodeCount: (c) => [table([...wholePieces(counts(c)), 9000, 2048, 4096])],
  gramFinish: (c) => {
    const width = c.below(4) + 1
    return [number(9000), table([0, 8192, 8192, 808]), table(new Array<number>(2 * width).fill(1.5)), number(width)]
  },
  coefficients: (c) => {
    const [rule, k] = [c.below(3), 1 + c.below(4)]
    const gram = Array.from({ length: products(k) }, (_, i) => c.pick([i, 1, 0, -1, 1e-9, 1e30]))
    const numbers = [rule, [0, 0.5, 1.5][rule]!, c.below(4)].map(number)
    return [...numbers, table(ones(k)), table(gram), table([])]
  },
}

export const CALL_NAMES = Object.keys(PLANS) as readonly CallName[]

export function planCall(c: Choices): PlannedCall {
  const [name, changes] = [c.pick(CALL_NAMES), c.below(MOST_CHANGES + 1)]
  const args = PLANS[name](c)
  for (let change = 0; change < changes; change++) spoil(c.pick(args), c)
  return { name, args }
}

const STRANGE = [NaN, -1, 0.5, 1e300, Infinity, 2 ** 53, -0, 1, 2, 4096, 2 ** 31, 2 ** 32, 5e-324, 2 ** 69]
const change = (value: number, c: Choices): number => c.pick([...STRANGE, value + 1, value - 1, value * 2048])
const length = (byteLength: number, c: Choices): number =>
  Math.max(0, Math.min(ARENA_BYTES, byteLength + c.pick([-8, -4, -1, 1, 4, 8, 16, -byteLength])))

function spoil(arg: Argument, c: Choices): void {
  switch (arg.kind) {
    case 'number':
      return void (arg.value = change(arg.value, c))
    case 'table': {
      const at = c.below(arg.values.length + 1)
      const kind = c.below(3)
      if (kind === 0 && at < arg.values.length) arg.values[at] = change(arg.values[at]!, c)
      else if (kind === 1) arg.values.splice(at, 1)
      else arg.values.splice(at, 0, change(1, c))
      return
    }
    case 'list': {
      const kind = c.below(3)
      if (kind === 0) arg.byteLengths = arg.byteLengths.map((each) => length(each, c))
      else if (kind === 1) arg.byteLengths.splice(0, 1)
      else arg.offsets = arg.byteLengths.map(() => c.below(256))
      return
    }
    default:
      if (c.below(2) === 0) arg.byteLength = arg.kind === 'doubles' ? 8 * c.below(20) : length(arg.byteLength, c)
      else arg.offset = arg.kind === 'doubles' ? 8 * c.below(64) : c.below(256)
  }
}

/** Finite numbers in every format, and some that are not. */
export function fillArena(random: Random): Uint8Array<ArrayBuffer> {
  const floats = Float32Array.from({ length: ARENA_BYTES / 4 }, () => random() * 4 - 2)
  return new Uint8Array(floats.buffer)
}
